from piq_bench.errors import MAX_QUOTED, N_PROBLEMS_SHOWN, BadInput, Problem, printable


def test_a_long_path_is_shown_whole() -> None:
    path = "/".join(["folder"] * 40) + "/submission.npz"
    assert len(path) > MAX_QUOTED
    message = str(BadInput(path, [Problem("x", "row 1", "is wrong", "fix it")]))
    assert message.startswith(f"{path}: refused, 1 problem\n")


def test_many_problems_are_counted_and_only_the_first_are_shown() -> None:
    problem = Problem("x", "row 1", "is wrong", "fix it")
    assert str(BadInput("file", [problem] * N_PROBLEMS_SHOWN)).count("is wrong") == N_PROBLEMS_SHOWN
    message = str(BadInput("file", [problem] * (N_PROBLEMS_SHOWN + 1234)))
    assert message.startswith("file: refused, 1334 problems\n")
    assert message.count("is wrong") == N_PROBLEMS_SHOWN
    assert message.endswith("\n  and 1,234 more")


def test_an_integer_too_long_for_decimal_is_shown_in_hex() -> None:
    assert printable(16**5000, 12) == "0x1000000..."
