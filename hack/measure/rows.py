"""What a row of the tables is, pure: what is subtracted or divided, and how much it may be."""

import dataclasses
from collections.abc import Sequence

from . import pairs
from .pairs import Round, Summary


@dataclasses.dataclass(frozen=True)
class Row:
    """One row: `key` was measured; it is compared, round by round, with what the other fields name.

    `minus` and `plus` are subtracted and added, `to` is what it is divided by. `budget` is in seconds.
    """

    group: str
    key: str
    label: str
    minus: tuple[str, ...] = ()
    plus: tuple[str, ...] = ()
    to: str = ""
    budget: float | None = None

    @property
    def name(self) -> str:
        """The name by which --only finds it."""
        return f"{self.group}/{self.key}"

    @property
    def needs(self) -> set[str]:
        """The keys that must be measured in the same round."""
        return {self.key, *self.minus, *self.plus, self.to} - {""}


@dataclasses.dataclass(frozen=True)
class Result:
    """What came out of a row: the whole time, and the compared one (a difference or a ratio).

    `cpu` compares processor time in the same way; None where that is not known.
    """

    row: Row
    whole: Summary
    compared: Summary
    cpu: Summary | None = None

    @property
    def is_over(self) -> bool:
        """Whether the budget is missed."""
        return self.row.budget is not None and self.compared.median > self.row.budget


def result(row: Row, rounds: Sequence[Round]) -> Result:
    """Give a row's numbers. Raises ValueError if it was not measured."""
    cpu = _compare(row, rounds, pairs.CPU)
    return Result(
        row,
        pairs.summary(pairs.values(rounds, row.key)),
        pairs.summary(_compare(row, rounds)),
        pairs.summary(cpu) if cpu else None,
    )


def _compare(row: Row, rounds: Sequence[Round], of: str = "") -> list[float]:
    if row.to:
        return pairs.ratios(rounds, row.key + of, row.to + of)
    plus = [key + of for key in (row.key, *row.plus)]
    return pairs.differences(rounds, plus, [key + of for key in row.minus])
