"""Augmentation: the batched gather equals changing images one by one, and changes are as frequent as configured."""

from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
augment = pytest.importorskip("reference_model.augment")

SIZES = [(256, 128), (64, 32), (9, 5), (4, 4)]
Tensor: TypeAlias = Any  # types are checked without torch
OFF: dict[str, Any] = {"flip": 0.0, "pad": 0.0, "erase": 0.0}


def pictures(seed: int, n: int, size: tuple[int, int]) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, *size, 3)).astype(np.uint8))


def rng_of(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def standardised(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Normalisation by its definition, in float32: value / 255, minus the mean, divided by the deviation."""
    mean, deviation = np.array(augment.MEAN, np.float32), np.array(augment.DEVIATION, np.float32)
    return (picture.astype(np.float32) / np.float32(255) - mean) / deviation


def changed(
    picture: NDArray[np.uint8], flip: bool, shift: list[int], box: list[int], pad: int, fill: NDArray[np.float32]
) -> NDArray[np.float32]:
    """One image, step by step: flip, pad and crop, normalise, erase."""
    height, width, _ = picture.shape
    flipped = picture[:, ::-1] if flip else picture
    padded = np.pad(flipped, ((pad, pad), (pad, pad), (0, 0)))
    above, left = shift[0] + pad, shift[1] + pad
    found = standardised(padded[above : above + height, left : left + width])
    found[box[0] : box[2], box[1] : box[3]] = fill
    return found


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(2, 40), st.integers(2, 24)),
    pad=st.floats(0, 1.5),
    fill=st.sampled_from(["mean", "raw_mean"]),
)
def test_all_images_at_once_equal_one_after_the_other(seed: int, size: tuple[int, int], pad: float, fill: str) -> None:
    options = augment.Augmentation(pad=pad, fill=fill)
    pixels = pictures(seed, 7, size)
    drawn = augment.draw(7, size, np.random.default_rng(seed), options)
    colour = np.array(augment.MEAN if fill == "raw_mean" else (0, 0, 0), np.float32)
    expected = [
        changed(picture.numpy(), flip.item(), shift.tolist(), box.tolist(), round(pad * size[1]), colour)
        for picture, flip, shift, box in zip(pixels, *drawn, strict=True)
    ]
    found = augment.augmented(pixels, drawn, options)
    assert (found.numpy() == np.stack(expected).transpose(0, 3, 1, 2)).all()


def test_an_image_is_flipped_before_it_is_cropped() -> None:
    picture = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 4, 1).expand(1, 1, 4, 3).contiguous()
    none = torch.zeros((1, 4), dtype=torch.int64)
    drawn = augment.Drawn(torch.tensor([True]), torch.tensor([[0, 1]]), none)
    expected = torch.tensor([2, 1, 0, 0], dtype=torch.uint8)  # 3 2 1 0, one column to the right, and black
    assert (augment.augmented(picture, drawn)[0, 0, 0] == augment.normalised(picture)[0, 0, 0, expected.long()]).all()


@pytest.mark.parametrize("size", SIZES)
def test_with_everything_turned_off_images_are_only_normalised(size: tuple[int, int]) -> None:
    options = augment.Augmentation(**OFF)
    pixels = pictures(1, 5, size)
    found = augment.augmented(pixels, augment.draw(5, size, np.random.default_rng(1), options), options)
    assert (found == augment.normalised(pixels)).all()
    assert (found.numpy() == standardised(pixels.numpy()).transpose(0, 3, 1, 2)).all()


def test_inputs_are_float32_in_channels_last_memory() -> None:
    pixels = pictures(2, 3, (8, 6))
    drawn = augment.draw(3, (8, 6), rng_of(2))
    for found in (augment.normalised(pixels), augment.augmented(pixels, drawn)):
        assert found.shape == (3, 3, 8, 6)
        assert found.dtype == torch.float32
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_padding_is_black_and_boxes_have_the_mean_colour() -> None:
    pixels = torch.full((1, 6, 4, 3), 200, dtype=torch.uint8)
    drawn = augment.Drawn(torch.tensor([False]), torch.tensor([[-2, 0]]), torch.tensor([[3, 1, 5, 3]]))
    found = augment.augmented(pixels, drawn)[0]
    black = torch.tensor([-mean / deviation for mean, deviation in zip(augment.MEAN, augment.DEVIATION, strict=True)])
    torch.testing.assert_close(found[:, :2], black[:, None, None].expand(3, 2, 4))
    assert (found[:, 3:5, 1:3] == 0).all()
    assert (found == 0).sum() == 3 * 4


@pytest.mark.parametrize("size", SIZES[:2])
def test_erased_boxes_lie_within_the_image_and_have_the_shares_and_shapes_asked_for(size: tuple[int, int]) -> None:
    height, width = size
    box = augment.draw(4000, size, rng_of(3), augment.Augmentation(erase=1)).box.numpy()
    extent = box[:, 2:] - box[:, :2]
    assert (box[:, :2] >= 0).all()
    assert (box[:, 2:] <= size).all()
    assert ((extent > 0) & (extent < size)).all()
    shift = (extent.sum(axis=1) + 1) / 2 / (height * width)  # the most by which rounding both sides moves the share
    share = extent.prod(axis=1) / (height * width)
    assert (share > 0.02 - shift).all()
    assert (share < 0.4 + shift).all()
    assert share.min() < 0.03
    assert share.max() > 0.38
    tall = (extent[:, 0] + 0.5) / (extent[:, 1] - 0.5)
    flat = (extent[:, 0] - 0.5) / (extent[:, 1] + 0.5)
    assert (tall > 0.3).all()
    assert (flat < 1 / 0.3).all()
    # Both ends are reached: a box may touch each side of the image.
    assert (box[:, :2].min(axis=0) == 0).all()
    assert (box[:, 2:].max(axis=0) == size).all()


def test_each_image_is_changed_as_often_as_asked() -> None:
    drawn = augment.draw(10_000, (256, 128), rng_of(4))
    assert abs(drawn.flip.double().mean() - 0.5) < 0.02  # 4 standard deviations
    assert abs((drawn.box.sum(dim=1) > 0).double().mean() - 0.5) < 0.02
    assert (drawn.shift.unique() == torch.arange(-10, 11)).all()
    counts = np.bincount(drawn.shift.numpy().ravel() + 10)
    assert abs(counts - 20_000 / 21).max() < 4.5 * np.sqrt(20_000 / 21)


@pytest.mark.parametrize(("size", "pad"), [((256, 128), 10), ((128, 64), 5), ((64, 32), 2), ((4, 4), 0)])
def test_the_border_shrinks_with_the_image(size: tuple[int, int], pad: int) -> None:
    assert augment.draw(2000, size, rng_of(5)).shift.abs().max() == pad


def test_a_box_that_never_fits_erases_nothing() -> None:
    options = augment.Augmentation(erase=1, area=(1.5, 2.0))
    drawn = augment.draw(50, (16, 8), rng_of(6), options)
    assert (drawn.box[:, :2] == drawn.box[:, 2:]).all()


def test_the_same_generator_draws_the_same_again() -> None:
    first, again, other = (augment.draw(20, (64, 32), rng_of(seed)) for seed in (7, 7, 8))
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert not all((one == two).all() for one, two in zip(first, other, strict=True))


def test_what_is_drawn_moves_between_devices() -> None:
    drawn = augment.draw(3, (8, 6), rng_of(9))
    assert [part.device.type for part in drawn.to("meta")] == ["meta"] * 3


def test_no_shape_and_no_branch_depends_on_what_is_drawn() -> None:
    drawn = augment.draw(3, (8, 6), rng_of(9)).to("meta")  # there, tensors have no values to look at
    assert augment.augmented(pictures(9, 3, (8, 6)).to("meta"), drawn).shape == (3, 3, 8, 6)
