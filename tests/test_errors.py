from piq_bench.errors import MAX_QUOTED, N_PROBLEMS_SHOWN, BadInput, Problem, printable


def test_a_path_is_shown_whole() -> None:
    path = "/".join(["folder"] * 40) + "/submission.npz"
    assert len(path) > MAX_QUOTED
    told = str(BadInput(path, [Problem("x", "row 1", "is wrong", "mend it")]))
    assert told.startswith(f"{path}: refused, 1 problem\n")


def test_of_very_many_problems_the_first_are_shown_and_all_are_counted() -> None:
    one = Problem("x", "row 1", "is wrong", "mend it")
    assert str(BadInput("file", [one] * N_PROBLEMS_SHOWN)).count("is wrong") == N_PROBLEMS_SHOWN
    told = str(BadInput("file", [one] * (N_PROBLEMS_SHOWN + 1234)))
    assert told.startswith("file: refused, 1334 problems\n")
    assert told.count("is wrong") == N_PROBLEMS_SHOWN
    assert told.endswith("\n  and 1,234 more")


def test_a_number_of_more_digits_than_python_writes_out_is_shown() -> None:
    assert printable(16**5000, 12) == "0x1000000..."
