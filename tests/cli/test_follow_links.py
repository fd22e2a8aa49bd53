"""`--follow-links` in every command that opens images, on a data set whose images are links to another folder."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from group_builders import Row, sample_image, write_dataset

from piq_bench.cli import load_command

ROWS = [Row("a.png", "query", "p", "f"), Row("b.png", "query", "q", "g"), Row("c.png", "gallery", "p", "f"),
        Row("d.png", "gallery", "q", "g"), Row("t.png", "train", "z", "f")]  # fmt: skip


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A data set whose images lie in a cache beside it."""
    root, cache = tmp_path / "data", tmp_path / "cache"
    write_dataset(root, ROWS)
    cache.mkdir()
    for number, row in enumerate(ROWS):
        sample_image(number).save(cache / row.image)
        (root / "images" / row.image).symlink_to(os.path.relpath(cache / row.image, root / "images"))
    return root


def run(command: str, *arguments: object) -> Result:
    result = CliRunner().invoke(load_command(command), [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)  # no traceback
    return result


@pytest.mark.parametrize("command", ["groups", "baseline"])
def test_links_are_refused_with_the_remedy_and_followed_on_request(linked: Path, tmp_path: Path, command: str) -> None:
    out = tmp_path / ("groups.csv" if command == "groups" else "entry.npz")
    refused = run(command, linked, "--out", out, "--workers", "1")
    assert refused.exit_code == 4
    assert "is a link that leaves the image folder" in " ".join(refused.stderr.split())
    assert "if you trust this data set, use --follow-links" in " ".join(refused.stderr.split())
    assert not out.exists()
    done = run(command, linked, "--out", out, "--workers", "1", "--follow-links")
    assert done.exit_code == 0, done.output
    assert out.exists()


@pytest.mark.parametrize("command", ["groups", "baseline"])
def test_a_link_to_nowhere_says_so(linked: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "cache" / "c.png").unlink()
    out = tmp_path / ("groups.csv" if command == "groups" else "entry.npz")
    for options in ([], ["--follow-links"]):
        refused = run(command, linked, "--out", out, "--workers", "1", *options)
        assert refused.exit_code == 4
        assert "is a link to a file that does not exist" in " ".join(refused.stderr.split())
        assert "git annex get" in refused.stderr


def test_statistics_check_linked_files_on_request(linked: Path) -> None:
    assert "image-link-outside" in run("stats", linked, "--format", "json").stdout
    followed = run("stats", linked, "--format", "json", "--follow-links").stdout
    assert "image-link-outside" not in followed
    assert "missing-image-file" not in followed


def test_a_report_shows_linked_images_on_request(linked: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    entry, page = tmp_path / "entry.npz", tmp_path / "page.html"
    assert run("baseline", linked, "--out", entry, "--workers", "1", "--follow-links").exit_code == 0
    for options, shown in (([], False), (["--follow-links"], True)):
        result = run("score", entry, "--dataset", linked, "--partial", "--html", page, *options)
        assert result.exit_code == 0, result.output
        assert ("data:image/jpeg;base64" in page.read_text(encoding="utf-8")) is shown


def test_a_submission_is_no_data_set_whose_links_are_followed(linked: Path, tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    assert run("baseline", linked, "--out", entry, "--workers", "1", "--follow-links").exit_code == 0
    (entry / "embedding.npy").rename(tmp_path / "embedding.npy")
    (entry / "embedding.npy").symlink_to(tmp_path / "embedding.npy")
    refused = run("score", entry, "--dataset", linked, "--partial", "--follow-links")
    assert refused.exit_code == 3, refused.output
