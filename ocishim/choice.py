"""Which backend mounts an overlay: the candidates in order, each after a trial."""

from . import filesystems, patience
from .errors import HostError, MountError, ShimError
from .trials import Trials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .candidate import Candidate
    from .patience import Tell
    from .settings import Settings
    from .stage import Stage
    from .step import Step


class Choice:
    """The choice for the overlays of one stage."""

    def __init__(self, stage: "Stage", settings: "Settings") -> None:
        self._stage = stage
        self._trials = Trials(stage, settings)
        self._protects = False

    def mount(self, step: "Step") -> str:
        """Mount an overlay; give the path. Raises ShimError with why no backend can."""
        target = self._stage.target(step)

        def act(by: "Candidate") -> None:
            self._trials.check(step, by)
            log = self._stage.kernel_log
            before = log.now()
            try:
                self._attach(by, step, target)
            except OSError as e:
                from . import untried

                raise untried.of_layer(step, e) or e from None
            except MountError as e:
                from .drivers import reason

                self._protects = reason.protects(f"{e.why} {log.said(before)}")
                raise

        self._first(step, act)
        return target

    def _attach(self, by: "Candidate", step: "Step", target: str) -> None:
        """Attach an overlay, for a limited time where somebody must answer: a trial says nothing of now."""
        asks = (*filesystems.REMOTE, filesystems.OVERLAY)
        if not any(layer.magic in asks for layer in step.layers) or patience.is_needless():
            self._stage.attach(by, step, target)
            return

        def work(tell: "Tell") -> list[str]:
            tell(f"{step.mount.where}: mount")
            self._stage.attach(by, step, target)
            return by.con

        # A FUSE server has a limit of its own, after which its last words are read.
        by.con[:] = patience.ask(work, patience.LIMIT * (2 if by.backend == "fuse" else 1))

    def choose(self, step: "Step") -> "Candidate":
        """Find the backend that `mount` would take, by trials only. Raises ShimError if there is none."""
        return self._first(step, lambda by: self._trials.check(step, by))

    def clear(self) -> None:
        """Remove what trials have left in the stage, which a container may see."""
        self._trials.clear()

    def _first(self, step: "Step", act: "Callable[[Candidate], None]") -> "Candidate":
        """Give the first candidate that `act` succeeds with."""
        refusals: list[ShimError] = []
        self._protects = False
        for by in step.candidates:
            if by.rejected:
                refusals.append(by.rejected)
                continue
            if refusals and (self._protects or not _is_cured_by_fuse(refusals[0])):
                break
            try:
                act(by)
            except (MountError, HostError) as e:
                from . import cause, untried

                said = self._stage.kernel_log.said() if by.backend == "kernel" else ""
                by.rejected = cause.explain(step, by, untried.blame(step, e), said, self._stage.here)
                refusals.append(by.rejected)
            else:
                return by
        from . import cause

        raise cause.of_all(step, refusals)


def _is_cured_by_fuse(error: ShimError) -> bool:
    from .drivers import reason

    if not isinstance(error, MountError):
        return error.page != "OVL-LOW-28"  # else by what the layers are
    return reason.is_cured_by_fuse(error.errno)
