"""`ocishim explain`: a page on one finding, the list of all, and the finding for a message of the kernel."""

import dataclasses
import json
import textwrap

import click

from .. import findings
from ..findings import Finding
from . import terminal

_COLOURS = {"refuse": "red", "warn": "yellow", "info": "blue"}
_LABEL = 10


@click.command(
    short_help="Explain a finding, or what the kernel's message means.",
    epilog="Paths below /srv and /run in the commands are examples. "
    "Exit status: 0; 1 if nothing fits; 2 for an unknown id.",
)
@click.argument("id_", metavar="[OVL-AREA-NN]", required=False)
@click.option("--errno", metavar="NAME|NUMBER", help="Find by an errno: EINVAL, 22.")
@click.option("--text", metavar="MESSAGE", help="Find by what the kernel, mount or a runtime said.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="For people, or for programs.",
)
def explain(id_: str | None, errno: str | None, text: str | None, form: str) -> None:
    """Explain a finding: cause, remedy, and how it can be recognised.

    Without an id, list all of them, or those that fit --errno and --text.

    \b
    ocishim explain OVL-UPP-01
    ocishim explain --text "overlayfs: failed to clone lowerpath"
    ocishim explain --errno ESTALE
    """
    if id_ and (errno or text):
        raise click.UsageError(f"{id_}: an id needs neither --errno nor --text")
    if id_:
        finding = _get(id_)
        _out([json.dumps(dataclasses.asdict(finding), indent=2)] if form == "json" else _page(finding))
        return
    is_search = errno is not None or text is not None
    found = _search(errno or "", text or "") if is_search else list(findings.all())
    if form == "json":
        _out([json.dumps([dataclasses.asdict(finding) for finding in found], indent=2)])
    elif is_search:
        _out(_answer(found, text or ""))
    else:
        _out(_all(found))


def _get(id_: str) -> Finding:
    try:
        return findings.get(id_)
    except KeyError:
        near = ", ".join(findings.near(id_))
        hint = f"near: {near}" if near else "ocishim explain lists all"
        raise click.UsageError(f"{id_}: no such finding; {hint}") from None


def _search(errno: str, text: str) -> list[Finding]:
    name = findings.errno_name(errno)
    if errno and not name:
        raise click.UsageError(f"--errno {errno}: no such errno; e.g. EINVAL or 22")
    found = findings.search(name, text)
    if not found:
        asked = " ".join(([f"--errno {name}"] if name else []) + [f"--text {text}" if text else ""])
        raise click.ClickException(
            f"{asked.strip() or 'nothing asked for'}: no finding fits; ocishim explain lists all"
        )
    return found


def _answer(found: list[Finding], text: str) -> list[str]:
    """Show the best guess in full and name the others; many guesses by errno alone are only listed."""
    said = findings.normal(text)
    is_known = said and any(findings.is_in(findings.normal(part), said) for part in found[0].kernel_says)
    if len(found) > 1 and not is_known:
        head = f"{len(found)} findings have this errno; the line of dmesg as --text tells which:"
        return [head, "", *(line for finding in found for line in _row(finding))]
    lines = _page(found[0])
    if len(found) > 1:
        lines += ["", "Also possible:", *(line for finding in found[1:] for line in _row(finding))]
    return lines


def _all(found: list[Finding]) -> list[str]:
    lines = []
    for area, title in findings.AREAS.items():
        lines += [click.style(f"{area}: {title}", bold=True)]
        lines += [line for finding in found if finding.area == area for line in _row(finding)]
        lines += [""]
    return lines[:-1]


def _row(finding: Finding) -> list[str]:
    start = f"  {finding.id}  {finding.severity:6}  "
    lines = textwrap.wrap(
        finding.title, terminal.width(), initial_indent=start, subsequent_indent=" " * len(start)
    )
    styled = f"  {click.style(finding.id, bold=True)}  {_severity(finding, 6)}  "
    return [styled + lines[0][len(start) :], *lines[1:]]


def _page(finding: Finding) -> list[str]:
    start = f"{finding.id}  {finding.severity}  "
    title = textwrap.wrap(
        finding.title, terminal.width(), initial_indent=start, subsequent_indent=" " * len(start)
    )
    styled = f"{click.style(finding.id, bold=True)}  {_severity(finding)}  "
    lines = [styled + click.style(title[0][len(start) :], bold=True)]
    lines += [click.style(line, bold=True) for line in title[1:]]
    lines += ["", *_paragraph("Applies", finding.applies), *_paragraph("Message", finding.message), ""]
    lines += [*_paragraph("Cause", finding.cause), "", *_paragraph("Detected", finding.detected), ""]
    lines += _paragraph("Remedy", finding.remedy)
    lines += [f"    {click.style(command, fg='green')}" for command in finding.command]
    lines += ["", *_paragraph("Kernels", finding.kernels)]
    lines += _paragraph("Errno", ", ".join(finding.errno))
    for label, parts in (("Known by", finding.kernel_says), ("See", finding.references)):
        for number, part in enumerate(parts):
            lines += _paragraph("" if number else label, part)
    return lines


def _paragraph(label: str, text: str) -> list[str]:
    if not text:
        return []
    start = f"{label:{_LABEL}}" if label else " " * _LABEL
    lines = textwrap.wrap(
        text,
        terminal.width(),
        initial_indent=start,
        subsequent_indent=" " * _LABEL,
        break_on_hyphens=False,
    )
    return [click.style(start, bold=True) + lines[0][_LABEL:], *lines[1:]]


def _severity(finding: Finding, width: int = 0) -> str:
    return click.style(f"{finding.severity:{width}}", fg=_COLOURS[finding.severity])


def _out(lines: list[str]) -> None:
    click.echo("\n".join(lines))
