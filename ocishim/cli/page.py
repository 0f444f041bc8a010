"""A report as one HTML page for a bug report: nothing from outside, no script."""

from collections.abc import Iterator, Mapping
from html import escape

from .. import __version__, findings
from ..errors import printable
from ..findings import Finding
from ..report import NO, OK, UNSURE, Line, Report

#: The mark is a word as well as a colour, and for a screen reader a longer one.
_MARKS = {OK: ("ok", "works"), NO: ("no", "does not work"), UNSURE: ("?", "in part, or not known")}
_CLASSES = {OK: "ok", NO: "no", UNSURE: "unsure"}

#: Whatever a hostile file name may smuggle in, the browser loads nothing and runs nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_STYLE = """\
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --soft: #57606a; --line: #d0d7de;
  --box: #f6f8fa; --link: #0550ae; --ok: #116329; --no: #a40e26; --unsure: #7d4e00; }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --text: #e6edf3; --soft: #9aa4af;
  --line: #30363d; --box: #161b22; --link: #79c0ff; --ok: #56d364; --no: #ff8f88; --unsure: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 54rem; background: var(--back);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; }
h2 { margin: 2rem 0 .5rem; font-size: 1.15rem; }
h1 + p { margin: .25rem 0 0; color: var(--soft); }
a { color: var(--link); white-space: nowrap; }
ul { margin: 0; padding: 0; list-style: none; border: 1px solid var(--line); border-radius: .4rem; }
li { display: grid; grid-template-columns: 2.2rem 1fr; gap: .75rem; padding: .4rem .75rem; }
li + li { border-top: 1px solid var(--line); }
.mark { align-self: start; margin-top: .15rem; border: 1px solid; border-radius: .3rem; text-align: center;
  font: bold .8rem/1.35rem ui-monospace, monospace; }
.ok > .mark { color: var(--ok); }
.no > .mark { color: var(--back); background: var(--no); border-color: var(--no); }
.unsure > .mark { color: var(--unsure); border-style: dashed; }
.advice, dt { color: var(--soft); }
.verdicts { border-width: 2px; }
details { border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .75rem; }
details + details { margin-top: .5rem; }
summary { cursor: pointer; font-weight: 600; }
summary small { font-weight: normal; color: var(--soft); }
dl { margin: .75rem 0 0; }
dt { margin-top: .5rem; font-size: .85rem; }
dd { margin: 0; }
code, pre { font: .875rem/1.5 ui-monospace, monospace; }
pre { margin: .25rem 0 0; padding: .5rem .75rem; background: var(--box); border-radius: .3rem;
  overflow-x: auto; overflow-wrap: normal; }
.copy { user-select: all; -webkit-user-select: all; max-height: 24rem; overflow-y: auto; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
footer { margin-top: 2rem; color: var(--soft); font-size: .85rem; }
@media print { @page { margin: 15mm; } body { padding: 0; max-width: none; font-size: 10pt; }
  li, dt { break-inside: avoid; } h2, dt, summary { break-after: avoid; } .data { display: none; }
  details::details-content { content-visibility: visible; block-size: auto; } pre { white-space: pre-wrap; }
  .no > .mark { color: var(--no); background: none; border-width: 2px; } }
"""


def render(report: Report, data: Mapping[str, str]) -> str:
    """Give the page. `data` is what goes along, by its heading: text to be copied, shown as it is."""
    return "\n".join(_page(report, data))


def _page(report: Report, data: Mapping[str, str]) -> Iterator[str]:
    title = f"Overlays on {report.title}"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_text(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>"
    yield f"<header><h1>{_text(title)}</h1>\n<p>{_summary(report)}</p></header>\n<main>"
    for heading, lines in report.judged.items():
        yield from _part(heading, lines, ' class="verdicts"')
    for heading, lines in report.sections.items():
        yield from _part(heading, lines)
    if report.pages:
        yield "<section>\n<h2>What the findings mean</h2>"
        for id_ in report.pages:
            yield from _finding(findings.get(id_))
        yield "</section>"
    for heading, text in data.items():
        yield f'<section class="data">\n<h2>{_text(heading)}</h2>\n<details><summary>Show all</summary>'
        yield f'<pre class="copy" tabindex="0">{_lines(text)}</pre></details>\n</section>'
    yield f"</main>\n<footer>Written by ocishim {_text(__version__)}.</footer>\n</body>\n</html>"


def _summary(report: Report) -> str:
    verdicts = [verdict.line.mark for verdict in report.verdicts]
    count = {mark: verdicts.count(mark) for mark in (OK, UNSURE, NO)}
    told = (f"{count[OK]} ok", f"{count[UNSURE]} in part or not known", f"{count[NO]} refused")
    return ", ".join(told)


def _part(heading: str, lines: tuple[Line, ...], attributes: str = "") -> Iterator[str]:
    yield f"<section>\n<h2>{_text(heading)}</h2>\n<ul{attributes}>"
    for line in lines:
        mark, spoken = _MARKS[line.mark]
        shown = f'<span aria-hidden="true">{mark}</span><span class="hidden">{spoken}: </span>'
        told = f"<b>{_text(line.what)}</b>: {_text(line.why)}" if line.why else _text(line.what)
        yield f'<li class="{_CLASSES[line.mark]}"><span class="mark">{shown}</span><div>{told}{_advice(line)}'
        yield "</div></li>"
    yield "</ul>\n</section>"


def _advice(line: Line) -> str:
    parts = []
    if line.remedy:
        parts.append(f"<code>{_text(line.remedy)}</code>" if line.is_command else _text(line.remedy))
    if line.page:
        parts.append(f'<a href="#{_text(line.page)}">{_text(line.page)}</a>')
    return f'<div class="advice">→ {"; ".join(parts)}</div>' if parts else ""


def _finding(finding: Finding) -> Iterator[str]:
    yield f"<details><summary>{_text(finding.id)}: {_text(finding.title)}</summary>"
    # A link to something inside opens the details around it.
    yield f'<dl id="{_text(finding.id)}">'
    for label, text in (
        ("Applies to", finding.applies),
        ("Cause", finding.cause),
        ("What to do", finding.remedy),
    ):
        yield f"<dt>{label}</dt><dd>{_text(text)}</dd>"
    if finding.command:
        commands = "\n".join(_text(command) for command in finding.command)
        yield f"<dt>Commands; paths below /srv and /run are examples</dt><dd><pre>{commands}</pre></dd>"
    yield f"<dt>Kernels</dt><dd>{_text(finding.kernels)}</dd>\n</dl></details>"


def _text(text: str) -> str:
    return escape(printable(text))


def _lines(text: str) -> str:
    return "\n".join(map(_text, text.split("\n")))
