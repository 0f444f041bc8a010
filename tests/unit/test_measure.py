"""hack/bench's arithmetic and tables, on made-up measurements: what is fast is for people to judge."""

import importlib
import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))  # hack/ is not installed

from hack.measure import pairs, report, rows
from hack.measure.pairs import Summary
from hack.measure.rows import Result, Row

#: Round by round everything gets slower, as on a busy machine; what is compared does not.
DRIFT = [{"bare": 10.0 * n, "whole": 10.0 * n + 2, "twice": 20.0 * n} for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], Summary(3.0, 3.0, 3.0, 1)),
        ([1.0, 2.0], Summary(1.5, 1.25, 1.75, 2)),
        ([5.0, 1.0, 4.0, 2.0, 3.0], Summary(3.0, 2.0, 4.0, 5)),
        ([1.0, 1.0, 1.0, 1000.0], Summary(1.0, 1.0, 250.75, 4)),
    ],
)
def test_a_summary_has_median_and_quartiles(values: list[float], expected: Summary) -> None:
    assert expected == pairs.summary(values)


def test_there_is_no_summary_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        pairs.summary([])


def test_differences_are_taken_within_each_round() -> None:
    assert pairs.differences(DRIFT, ["whole"], ["bare"]) == [2.0, 2.0, 2.0, 2.0]
    assert pairs.differences(DRIFT, ["bare", "bare"], ["twice"]) == [0.0, 0.0, 0.0, 0.0]


def test_ratios_are_taken_within_each_round() -> None:
    assert pairs.ratios(DRIFT, "twice", "bare") == [2.0, 2.0, 2.0, 2.0]


def test_a_round_that_lacks_a_part_is_left_out() -> None:
    rounds = [{"a": 3.0, "b": 1.0}, {"a": 4.0}, {"b": 2.0}]

    assert pairs.differences(rounds, ["a"], ["b"]) == [2.0]
    assert pairs.ratios(rounds, "a", "b") == [3.0]
    assert pairs.values(rounds, "a") == [3.0, 4.0]


@pytest.mark.parametrize(("budget", "is_over"), [(1.9, True), (2.0, False), (None, False)])
def test_a_budget_is_missed_by_the_median_of_the_differences(budget: float | None, is_over: bool) -> None:
    row = Row("startup", "whole", "", minus=("bare",), budget=budget)

    result = rows.result(row, DRIFT)

    assert (Summary(2.0, 2.0, 2.0, 4), is_over) == (result.compared, result.is_over)


def test_processor_time_is_compared_like_the_clock_where_it_is_known() -> None:
    rounds = [{"a": 9.0, "b": 1.0, "a cpu": 5.0, "b cpu": 2.0}]

    assert Summary(3.0, 3.0, 3.0, 1) == rows.result(Row("g", "a", "", minus=("b",)), rounds).cpu
    assert Summary(2.5, 2.5, 2.5, 1) == rows.result(Row("g", "a", "", to="b"), rounds).cpu
    assert rows.result(Row("g", "whole", "", minus=("bare",)), DRIFT).cpu is None


def test_a_row_names_all_that_it_needs() -> None:
    assert {"a", "b", "c"} == Row("g", "a", "", minus=("b",), plus=("c",)).needs
    assert {"a", "b"} == Row("g", "a", "", to="b").needs


@pytest.mark.parametrize(
    ("pattern", "chosen"),
    [
        ("", ["io/x/git", "io/y/git", "io/y/stat", "run/r"]),
        ("run", ["run/r"]),
        ("io/y", ["io/x/git", "io/y/git", "io/y/stat"]),  # with what it is a ratio to
        ("io/*/stat", ["io/y/stat"]),
        ("unknown", []),
    ],
)
def test_only_chooses_rows_and_what_they_are_compared_with(pattern: str, chosen: list[str]) -> None:
    main = importlib.import_module("hack.measure.__main__")
    of_io = [Row("io", key, "", to="x/git") for key in ("x/git", "y/git")]
    all_rows = [*of_io, Row("io", "y/stat", "", to="y/stat"), Row("run", "r", "", to="r")]

    assert chosen == [row.name for row in main.choose(all_rows, pattern)]


@pytest.mark.parametrize(
    ("value", "text"), [(0.4213, "0.42"), (7.94, "7.9"), (19.96, "20.0"), (43.2, "43"), (1234.5, "1,234")]
)
def test_a_number_has_the_digits_that_matter(value: float, text: str) -> None:
    assert text == report.number(value)


def test_the_table_tells_what_is_over_its_budget() -> None:
    def result(label: str, budget: float) -> Result:
        return Result(
            Row("startup", label, label, budget=budget),
            Summary(0.0151, 0.0, 1.0, 9),
            Summary(0.0021, 0.0019, 0.0024, 9),
            Summary(0.0017, 0.0, 1.0, 9),
        )

    table = report.shim([result("slow", 0.0015), result("fast enough", 0.01)], Summary(0.0118, 0, 0, 9))

    assert report.plain(table).splitlines()[2:5] == [
        "             whole  over bare  quartiles  budget          CPU",
        "slow          15.1       +2.1  1.9 – 2.4    +1.5   over  +1.7",  # noqa: RUF001 - as it is shown
        "fast enough   15.1       +2.1  1.9 – 2.4   +10.0  under  +1.7",  # noqa: RUF001 - as it is shown
    ]


def test_the_table_of_io_has_a_heading_for_each_workload() -> None:
    def result(key: str, label: str, ratio: float) -> Result:
        whole = Summary(ratio / 10, ratio / 20, ratio / 5, 3)
        return Result(Row("io", key, label, to="own/git"), whole, Summary(ratio, ratio, ratio, 3))

    results = [result("own/git", "runc", 1.0), result("fuse/git", "fuse", 8.0)]
    table = report.layers(results, {"stat": "walk", "git": "git status"})

    assert report.plain(table).splitlines()[2:6] == [
        "        median    quartiles  ratio    quartiles",
        "git status",
        "  runc     100     50 – 200      1",  # noqa: RUF001 - as it is shown
        "  fuse     800  400 – 1,600   8.00  8.00 – 8.00",  # noqa: RUF001 - as it is shown
    ]
