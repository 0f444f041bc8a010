"""A report on a host: sections of lines with a mark, a verdict for each way to run."""

from dataclasses import dataclass  # noqa: TID253 - nothing hot loads this

from . import findings

OK, NO, UNSURE = "ok", "no", "?"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing: `mark` is OK, NO or UNSURE; of the last two why, what to do, and the page to read."""

    mark: str
    what: str
    why: str = ""
    remedy: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One way to run. `counts` tells whether a refusal makes this host one where something is refused."""

    line: Line
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to say; `sections` by title, in order."""

    sections: dict[str, tuple[Line, ...]]
    verdicts: tuple[Verdict, ...]

    @property
    def status(self) -> int:
        """The exit status: 1 if something would be refused."""
        return 1 if any(verdict.counts and verdict.line.mark == NO for verdict in self.verdicts) else 0


def no(what: str, why: str, page: str) -> Line:
    """Say that something does not work; what to do stands on the page of the finding."""
    return Line(NO, what, why, findings.get(page).remedy if page else "", page)


def unsure(what: str, why: str, page: str) -> Line:
    """Say that something works in part only."""
    return Line(UNSURE, what, why, findings.get(page).remedy, page)
