"""Cuts: found where the picture changes at once, and nowhere in a moving or flashing one."""

import numpy as np
import pytest

from piq_bench.build.collect.shots import Shots, block_means
from piq_bench.records import Pixels

RNG = np.random.default_rng(0)
GROUNDS = [RNG.integers(0, 256, (160, 400)).astype(np.uint8) for _ in range(3)]


def shots(frames: list[Pixels]) -> list[int]:
    shot_of = Shots()
    return [shot_of(frame) for frame in frames]


def test_each_cut_begins_a_shot() -> None:
    frames = [GROUNDS[index // 10][:, :200] for index in range(30)]
    assert shots(frames) == [1] * 10 + [2] * 10 + [3] * 10


def test_a_moving_camera_makes_no_cut_but_a_cut_while_it_moves_is_one() -> None:
    coarse = [np.kron(ground[::16, ::16], np.ones((16, 16), np.uint8)) for ground in GROUNDS]
    moving = [coarse[index // 15][:, 4 * (index % 15) :][:, :200] for index in range(30)]
    assert shots(moving) == [1] * 15 + [2] * 15


def test_fine_texture_that_moves_makes_no_cut() -> None:
    """Its pixels differ wholly from frame to frame, and by turns more or less."""
    fine = [np.kron(ground[:45, :110], np.ones((8, 8), np.uint8)) for ground in GROUNDS]
    moving = [fine[index // 30][:, 3 * (index % 30) :][:, :640] for index in range(90)]
    assert shots(moving) == [1] * 30 + [2] * 30 + [3] * 30


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (50, 3), (23, 24), (97, 161), (360, 640)])
def test_blocks_are_square_and_their_means_are_those_of_the_lines_that_count(shape: tuple[int, int]) -> None:
    brightness = RNG.integers(0, 256, shape).astype(np.uint8)
    side = max(1, shape[0] // 24)
    means = block_means(brightness)
    for row, column in np.ndindex(*means.shape):
        block = brightness[row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert means[row, column] == pytest.approx(block[:: 4 if side >= 4 else 1].mean())


def test_a_change_of_size_is_a_cut_and_a_flash_ends_no_shot_twice() -> None:
    still = np.full((96, 160), 90, np.uint8)
    assert shots([still] * 8 + [still[:48]] * 8) == [1] * 8 + [2] * 8
    flash = shots([still] * 8 + [np.full_like(still, 255)] + [still] * 8)
    assert flash[-1] == 2


def test_a_slow_fade_is_no_cut() -> None:
    assert set(shots([np.full((96, 160), 5 * index, np.uint8) for index in range(50)])) == {1}
