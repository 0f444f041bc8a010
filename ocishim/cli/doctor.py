"""`ocishim doctor`: what this host can do for overlays, what it cannot and why, what to do."""

import dataclasses
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import TextIO

import click

from .. import settings
from ..doctor import judge
from ..errors import printable
from ..probe import host
from ..probe.facts import Facts, load
from ..report import NO, OK, UNSURE, Line, Report

_COLOURS = {OK: "green", NO: "red", UNSURE: "yellow"}
_PIPE_WIDTH = 80
_INDENT = " " * 6
_NO_BREAK = "\N{NO-BREAK SPACE}"


@click.command(
    options_metavar="[OPTIONS]",
    epilog="Exit status: 0 fine; 1 overlays would be refused, by the kernel or by fuse-overlayfs, or no "
    "runtime is installed; 2 usage.",
)
@click.option(
    "--facts",
    "file",
    metavar="FILE",
    type=click.File("r"),
    help="Judge what --format json printed elsewhere.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="For people, or the facts for programs (schemas/facts.schema.json).",
)
def doctor(file: TextIO | None, form: str) -> int:
    """Report what works on this host, what does not and why, and what to do.

    Most of it is found by trying, on a tmpfs in a mount namespace of its own; nothing of it stays. What the
    kernel refuses meanwhile it says in its log, too: those lines of dmesg are doctor's.

    The marks are ok, no, and ? for what could not be found out or works in part.

    \b
    ocishim doctor --format json >facts.json
    ocishim doctor --facts facts.json          (anywhere)
    """
    facts = _read(file) if file else _look()
    report = judge(facts)
    if form == "json":
        click.echo(json.dumps(dataclasses.asdict(facts), indent=2))
    else:
        click.echo("\n".join(_text(report)))
    return report.status


def _look() -> Facts:
    environ = {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}
    return host.look(settings.load(environ), environ, sys.argv[0])


def _read(file: TextIO) -> Facts:
    try:
        return load(file.read())
    except (ValueError, RecursionError) as e:
        raise click.UsageError(
            f"--facts {file.name}: {e}; write it with ocishim doctor --format json"
        ) from None


def _text(report: Report) -> Iterator[str]:
    for title, lines in report.sections.items():
        yield click.style(title, bold=True)
        for line in lines:
            yield from _show(line)
        yield ""
    yield click.style("Overlays", bold=True)
    for verdict in report.verdicts:
        line = verdict.line
        what = f"{line.what}: refused" if line.mark == NO else line.what
        yield from _show(dataclasses.replace(line, what=what))


def _show(line: Line) -> Iterator[str]:
    """Wrap a line: the mark, what it is about and why not; below it what to do, and the page."""
    what = printable(f"{line.what}: {line.why}" if line.why else line.what)
    first, *rest = _wrap(what)
    yield f"  {click.style(f'{line.mark:2}', fg=_COLOURS[line.mark])}  {first.lstrip()}"
    yield from rest
    page = f"ocishim explain {line.page}" if line.page else ""
    # The command stays in one line, to be copied.
    advice = "; ".join(part for part in (printable(line.remedy), page.replace(" ", _NO_BREAK)) if part)
    for text in _wrap(f"→ {advice}") if advice else ():
        text = text.replace(_NO_BREAK, " ")
        yield text.replace(page, click.style(page, bold=True)) if page else text


def _wrap(text: str) -> list[str]:
    width = min(shutil.get_terminal_size().columns, 100) if sys.stdout.isatty() else _PIPE_WIDTH
    return textwrap.wrap(
        text, width, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
    )
