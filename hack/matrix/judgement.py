"""The verdict on ocishim's word: what it said, what then happened, and what else would have worked."""

import dataclasses

from .exercise import Outcome

RIGHT = "right"
#: Said to be fine, and then something fails.
WRONG_FINE = "wrong fine"
#: Refused, though there is a way in which everything works.
WRONG_REFUSED = "wrong refused"
#: Neither fine nor refused as promised: a traceback, a time limit, no reason.
NO_ANSWER = "no answer"
#: Right, but something stayed in the layers, or mounted, that was not there before.
LEFT = "left behind"
WRONG = (WRONG_FINE, WRONG_REFUSED, NO_ANSWER, LEFT)
#: Said to be fine, wrongly, where nobody who has that privilege can tell.
UNKNOWABLE = "cannot be known"
#: No verdict: these layers cannot be made here.
NOT_MADE = "not made"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What `ocishim plan` said: fine, with a way; refused, with a reason; or nothing that can be used."""

    status: int
    backend: str = ""
    options: tuple[str, ...] = ()
    said: str = ""
    seconds: float = 0.0
    left: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        """Tell whether the container would start."""
        return self.status == 0 and bool(self.backend)

    @property
    def is_refused(self) -> bool:
        """Tell whether it is refused in the way that is promised: status 1 and one line of reason."""
        return self.status == 1 and bool(self.said) and "\n" not in self.said


def judge(
    answer: Answer,
    outcome: Outcome | None,
    ways: dict[str, Outcome],
    must_refuse: str,
    may_refuse: str = "",
    *,
    is_hidden: bool = False,
) -> str:
    """Give the verdict. `outcome` is of the way that ocishim said, `ways` of those that it did not take.

    `is_hidden` tells that what the case depends on is hidden from who asks.
    """
    if answer.is_fine:
        assert outcome
        if must_refuse or not outcome.is_fine:
            return UNKNOWABLE if is_hidden else WRONG_FINE
    elif not answer.is_refused:
        return NO_ANSWER
    elif not (must_refuse or may_refuse) and any(each.is_fine for each in ways.values()):
        return WRONG_REFUSED
    return LEFT if answer.left else RIGHT
