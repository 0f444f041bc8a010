"""The verdicts as text: a table by kernel, and a line for everything that is wrong or was not tried."""

import collections
from collections.abc import Iterator, Sequence
from typing import Any

from .judgement import LEFT, NOT_MADE, RIGHT, UNKNOWABLE, WRONG, WRONG_FINE, WRONG_REFUSED
from .machines import Report

_COLUMNS = (RIGHT, *WRONG, UNKNOWABLE, NOT_MADE)
_LONGEST = 160


def wrong(report: Report) -> list[dict[str, Any]]:
    """Give the cases that ocishim was wrong about."""
    return [case for case in report.cases if case["verdict"] in WRONG]


def text(reports: Sequence[Report], missing: dict[str, str]) -> str:
    """Give the whole report."""
    parts = [_table(reports)]
    parts += ["\n".join(_lines(each)) for each in reports]
    parts += [f"{name}: left out: {why}" for name, why in missing.items()]
    return "\n\n".join(part for part in parts if part)


def line(case: dict[str, Any]) -> str:
    """Say what is wrong about one case."""
    answer, outcome = case["answer"], case["outcome"]
    if case["verdict"] == WRONG_FINE:
        said = " ".join((answer["backend"], ",".join(answer["options"]))).strip()
        if outcome and outcome["operation"]:
            why = f"{outcome['operation']}: {outcome['errno'] or outcome['said']}"
        else:
            why = "it must be refused"
        works = f"; {_works(case)} works" if _works(case) else ""
        return _cut(f"{case['case']}: said fine ({said}); {why}{works}")
    if case["verdict"] == WRONG_REFUSED:
        return _cut(f"{case['case']}: refused, but {_works(case)} works: {answer['said']}")
    if case["verdict"] == LEFT:
        return _cut(f"{case['case']}: {', '.join(answer['left'])}")
    return _cut(f"{case['case']}: status {answer['status']}: {' | '.join(answer['said'].splitlines()[-2:])}")


def _works(case: dict[str, Any]) -> str:
    """Give the way that was found to work, if any."""
    return next((name for name, each in case["ways"].items() if not each["operation"]), "")


def _table(reports: Sequence[Report]) -> str:
    rows: list[tuple[str, ...]] = [("kernel", "version", *_COLUMNS, "seconds")]
    for report in reports:
        counts = collections.Counter(case["verdict"] for case in report.cases)
        numbers = [str(counts[column]) for column in _COLUMNS]
        rows.append((report.kernel, report.version, *numbers, f"{report.seconds:.0f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        lines.append(
            "  ".join(
                cell.ljust(width) if at < 2 else cell.rjust(width) for at, (cell, width) in enumerate(cells)
            )
        )
    return "\n".join(lines)


def _lines(report: Report) -> Iterator[str]:
    """Give a kernel's lines: what failed, what is wrong by kind, what cannot be known or made by reason."""
    doctor = {who: found["status"] for who, found in report.doctor.items() if found["status"] not in (0, 1)}
    found = wrong(report)
    apart = collections.defaultdict(list)
    for case in report.cases:
        if case["verdict"] in (UNKNOWABLE, NOT_MADE):
            why = case["why"].strip().splitlines()[0]
            apart[case["verdict"], why].append(case["case"])
    if not (report.failed or doctor or found or apart):
        return
    yield f"{report.kernel} ({report.version})"
    if report.failed:
        yield f"  FAILED  {report.failed}"
    for who, status in doctor.items():
        yield f"  DOCTOR  ended with {status} as {who}"
    for kind in WRONG:
        for case in found:
            if case["verdict"] == kind:
                yield f"  {kind.upper()}  {line(case)}"
    for (verdict, why), names in sorted(apart.items()):
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield f"  {verdict}  {_cut(why)} ({shown})"


def _cut(said: str) -> str:
    said = " ".join(said.split())
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
