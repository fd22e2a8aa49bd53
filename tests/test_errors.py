from piq_bench.errors import MAX_QUOTED, BadInput, Problem


def test_a_path_is_shown_whole() -> None:
    path = "/".join(["folder"] * 40) + "/submission.npz"
    assert len(path) > MAX_QUOTED
    told = str(BadInput(path, [Problem("x", "row 1", "is wrong", "mend it")]))
    assert told.startswith(f"{path}: refused, 1 problem\n")
