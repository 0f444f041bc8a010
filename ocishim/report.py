"""A report, on a host or on a bundle: sections of lines with a mark, and verdicts. How it looks is cli/'s."""

from dataclasses import dataclass, replace  # noqa: TID253 - nothing hot loads this

from . import findings

OK, NO, UNSURE = "ok", "no", "?"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing: `mark` is OK, NO or UNSURE; of the last two why, what to do, and the page to read.

    `is_command` tells that the remedy is a command to copy.
    """

    mark: str
    what: str
    why: str = ""
    remedy: str = ""
    page: str = ""
    is_command: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """One way to run, or one mount. `counts` tells whether a refusal makes the whole one that is refused.

    Verdicts stand together below `about`, their heading.
    """

    line: Line
    counts: bool = True
    about: str = "Overlays"

    @property
    def shown(self) -> Line:
        """The line in words that need no mark to be understood."""
        line = self.line
        return replace(line, what=f"{line.what}: refused") if line.mark == NO else line


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to say; `sections` by title, in order. `title` names what it is on."""

    sections: dict[str, tuple[Line, ...]]
    verdicts: tuple[Verdict, ...]
    title: str = "this host"

    @property
    def status(self) -> int:
        """The exit status: 1 if something would be refused."""
        return 1 if any(verdict.counts and verdict.line.mark == NO for verdict in self.verdicts) else 0

    @property
    def judged(self) -> dict[str, tuple[Line, ...]]:
        """The verdicts as lines, by heading, in order."""
        found: dict[str, tuple[Line, ...]] = {}
        for verdict in self.verdicts:
            found[verdict.about] = (*found.get(verdict.about, ()), verdict.shown)
        return found

    @property
    def pages(self) -> tuple[str, ...]:
        """The ids of all findings that are mentioned, in the order of the report, each once."""
        parts = (*self.sections.values(), *self.judged.values())
        return tuple(dict.fromkeys(line.page for part in parts for line in part if line.page))


def join(title: str, *reports: Report) -> Report:
    """Put reports one behind the other; what has the same heading comes below one."""
    sections: dict[str, tuple[Line, ...]] = {}
    for report in reports:
        for name, lines in report.sections.items():
            sections[name] = (*sections.get(name, ()), *lines)
    return Report(sections, tuple(verdict for report in reports for verdict in report.verdicts), title)


def no(what: str, why: str, page: str) -> Line:
    """Say that something does not work; what to do stands on the page of the finding."""
    return Line(NO, what, why, findings.get(page).remedy if page else "", page)


def unsure(what: str, why: str, page: str) -> Line:
    """Say that something works in part only."""
    return Line(UNSURE, what, why, findings.get(page).remedy, page)
