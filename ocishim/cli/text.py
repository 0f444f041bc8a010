"""A report as text, for a terminal of any width and for a pipe, with colours where click finds them right."""

import textwrap
from collections.abc import Iterator

import click

from ..errors import printable
from ..report import NO, OK, UNSURE, Line, Report
from . import terminal

_COLOURS = {OK: "green", NO: "red", UNSURE: "yellow"}
_INDENT = " " * 6
_NO_BREAK = "\N{NO-BREAK SPACE}"


def render(report: Report) -> str:
    """Give the sections, then the verdicts, which are so the last that a terminal shows."""
    parts = [*report.sections.items(), *report.judged.items()]
    return "\n\n".join(
        "\n".join([click.style(printable(title), bold=True), *_lines(part)]) for title, part in parts
    )


def _lines(part: tuple[Line, ...]) -> Iterator[str]:
    for line in part:
        yield from _show(line)


def _show(line: Line) -> Iterator[str]:
    """Wrap a line: the mark, what it is about and why not; below it what to do, and the page."""
    first, *rest = _wrap(printable(f"{line.what}: {line.why}" if line.why else line.what))
    yield f"  {click.style(f'{line.mark:2}', fg=_COLOURS[line.mark])}  {first.lstrip()}"
    yield from rest
    page = f"ocishim explain {line.page}" if line.page else ""
    advice = "; ".join(part for part in (_advice(line), page.replace(" ", _NO_BREAK)) if part)
    for text in _wrap(f"→{_NO_BREAK}{advice}") if advice else ():
        text = text.replace(_NO_BREAK, " ")
        yield text.replace(page, click.style(page, bold=True)) if page else text


def _advice(line: Line) -> str:
    """Give what to do; a command stays in one line, to be copied."""
    text = printable(line.remedy)
    return text.replace(" ", _NO_BREAK) if line.is_command else text


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        terminal.width(),
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_on_hyphens=False,
        break_long_words=False,  # a path or a command that is cut cannot be copied
    )
