"""Statistics, pure: what one round measured is compared within that round, then the median is taken."""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence

#: What was measured in one round: seconds by key; the processor's, where it is known, by key and CPU.
Round = Mapping[str, float]
CPU = " cpu"


@dataclasses.dataclass(frozen=True)
class Summary:
    """Median and quartiles of some values, and how many there were."""

    median: float
    low: float
    high: float
    count: int


def summary(values: Sequence[float]) -> Summary:
    """Sum up values. Raises ValueError if there are none."""
    if not values:
        raise ValueError("nothing was measured")
    if len(values) == 1:
        return Summary(values[0], values[0], values[0], 1)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(median, low, high, len(values))


def values(rounds: Iterable[Round], key: str) -> list[float]:
    """Give what was measured under one key."""
    return [each[key] for each in rounds if key in each]


def differences(rounds: Iterable[Round], plus: Sequence[str], minus: Sequence[str]) -> list[float]:
    """Add and subtract within each round; a round that lacks one of the keys is left out."""
    return [
        sum(each[key] for key in plus) - sum(each[key] for key in minus)
        for each in rounds
        if all(key in each for key in (*plus, *minus))
    ]


def ratios(rounds: Iterable[Round], key: str, to: str) -> list[float]:
    """Divide within each round; a round that lacks one of the two is left out."""
    return [each[key] / each[to] for each in rounds if key in each and each.get(to)]
