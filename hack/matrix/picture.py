"""The picture: lower by upper file system for each kernel, in each cell root left, user namespace right."""

from collections.abc import Sequence
from html import escape
from typing import Any

from .judgement import LEFT, NO_ANSWER, NOT_MADE, RIGHT, UNKNOWABLE, WRONG_FINE, WRONG_REFUSED
from .machines import Report
from .privilege import ROOT, USERNS

_INK = "#333333"
_REFUSED = "right: refused"
_FUSE = "right: fine by fuse"
_COLOURS = {
    RIGHT: "#2a7f62",
    _FUSE: "#7fbf9f",
    _REFUSED: "#d5e8d4",
    WRONG_FINE: "#c0392b",
    WRONG_REFUSED: "#e6a23c",
    NO_ANSWER: "#7b4ea3",
    LEFT: "#4a90d9",
    UNKNOWABLE: "#9a8c7a",
    NOT_MADE: "#e4e4e4",
}
_LABELS = {RIGHT: "right: fine by the kernel"}
_HALF, _ROW, _GAP = 15, 20, 40
_LEFT, _TOP = 120, 110


def draw(reports: Sequence[Report]) -> str:
    """Give the picture as SVG."""
    parts = []
    x, y = 20, 80
    height = 0
    for report in reports:
        drawn, width, tall = _kernel(report, x, y)
        parts += drawn
        x += width + _GAP
        height = max(height, y + tall)
    legend, right = _legend(20, 30)
    body = "\n".join([*legend, *parts])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{max(x, right)}" height="{height + 20}" '
        f'font-family="sans-serif" font-size="11" fill="{_INK}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def kind(case: dict[str, Any]) -> str:
    """Give what a case is coloured by."""
    if case["verdict"] != RIGHT:
        return str(case["verdict"])
    if case["answer"]["status"]:
        return _REFUSED
    return _FUSE if case["answer"]["backend"] == "fuse" else RIGHT


def _kernel(report: Report, x: int, y: int) -> tuple[list[str], int, int]:
    """Draw one kernel: the grid, below it the cases with options or special layers. Give width and height."""
    grid: dict[tuple[str, str, str], dict[str, Any]] = {}
    rest: dict[str, dict[str, dict[str, Any]]] = {}
    for case in report.cases:
        lower, upper, who, *more = case["case"].split("/")
        if more:
            rest.setdefault("/".join((lower, upper, *more)), {})[who] = case
        else:
            grid[lower, upper, who] = case
    lowers = list(dict.fromkeys(lower for lower, _, _ in grid))
    uppers = list(dict.fromkeys(upper for _, upper, _ in grid))
    parts = [_text(x, y, f"{report.kernel} ({report.version})", "bold", 14)]
    if report.failed:
        parts.append(_text(x, y + 16, report.failed[:80], "bold", 10))
    left, top = x + _LEFT, y + _TOP
    for at, upper in enumerate(uppers):
        parts.append(_slanted(left + at * (2 * _HALF + 4) + _HALF, top - 6, upper))
    for row, lower in enumerate(lowers):
        parts.append(_text(x, top + row * _ROW + 13, lower))
        for column, upper in enumerate(uppers):
            for half, who in enumerate((ROOT, USERNS)):
                if found := grid.get((lower, upper, who)):
                    parts.append(
                        _cell(left + column * (2 * _HALF + 4) + half * _HALF, top + row * _ROW, found)
                    )
    width = _LEFT + len(uppers) * (2 * _HALF + 4)
    top += len(lowers) * _ROW + 20
    for row, (name, by_who) in enumerate(sorted(rest.items())):
        for half, who in enumerate((ROOT, USERNS)):
            if who in by_who:
                parts.append(_cell(x + half * _HALF, top + row * _ROW, by_who[who]))
        parts.append(_text(x + 2 * _HALF + 8, top + row * _ROW + 13, name))
    return parts, max(width, 380), top + len(rest) * _ROW - y


def _cell(x: int, y: int, case: dict[str, Any]) -> str:
    title = escape(f"{case['case']}: {kind(case)}. {_detail(case)}")
    return (
        f'<rect x="{x}" y="{y}" width="{_HALF - 1}" height="{_ROW - 3}" fill="{_COLOURS[kind(case)]}">'
        f"<title>{title}</title></rect>"
    )


def _detail(case: dict[str, Any]) -> str:
    if case["verdict"] == NOT_MADE:
        return str(case["why"])[:300]
    outcome = case["outcome"] or {}
    return f"{case['answer']['said'][:300]} {outcome.get('operation', '')} {outcome.get('errno', '')}".strip()


def _legend(x: int, y: int) -> tuple[list[str], int]:
    """Give it, and where it ends."""
    parts = []
    for name, colour in _COLOURS.items():
        label = _LABELS.get(name, name)
        parts.append(f'<rect x="{x}" y="{y - 11}" width="14" height="14" fill="{colour}"/>')
        parts.append(_text(x + 20, y, label))
        x += 40 + 7 * len(label)
    parts.append(_text(20, y + 20, "left half: root, right half: user namespace; rows lower, columns upper"))
    return parts, x


def _text(x: int, y: int, words: str, weight: str = "normal", size: int = 11) -> str:
    return f'<text x="{x}" y="{y}" font-weight="{weight}" font-size="{size}">{escape(words)}</text>'


def _slanted(x: int, y: int, words: str) -> str:
    return f'<text transform="translate({x},{y}) rotate(-50)">{escape(words)}</text>'
