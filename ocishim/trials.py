"""Trials before an overlay is mounted: made once for overlays that are alike, noted where that is allowed."""

import os

from . import namespaces, patience
from .errors import HostError, MountError
from .probe import cache, kmsg
from .step import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .candidate import Candidate
    from .probe.rehearsal import Failures
    from .settings import Settings
    from .stage import Stage


class Trials:
    """The trials of one stage."""

    def __init__(self, stage: "Stage", settings: "Settings") -> None:
        self._stage = stage
        self._settings = settings
        self._tried: set[str] = set()
        self._file = cache.path_in(settings.trial_cache)
        self._noted: bytes | None = None

    def check(self, step: Step, by: "Candidate") -> None:
        """Make a trial of an overlay, unless one like it went well before. Raises ShimError if it fails."""
        server = self._server() if by.backend == "fuse" else ""
        key = cache.key(step, by, self._stage.here, server)
        if key and (key in self._tried or self._went_well_before(key)):
            self._tried.add(key)
            return
        watch = kmsg.Watch()
        try:
            failed = self._make(step, by)
        finally:
            said = watch.said()
            if said:
                kmsg.mark(f"overlayfs said the above in a trial: {step.mount.where} of {self._stage.name}")
        if failed:
            from . import cause

            log = said if by.backend == "kernel" else ""
            raise cause.of_trial(step, by.backend, failed, log, self._stage.here)
        if key:
            self._tried.add(key)
            if self._file:
                cache.note(self._file, key)

    def _went_well_before(self, key: str) -> bool:
        if self._noted is None:
            self._noted = cache.read(self._file) if self._file else b""
        return cache.has(self._noted, key)

    def _server(self) -> str:
        """Tell which fuse-overlayfs it is. Raises HostError if it is not there."""
        from .drivers import fuse

        program = fuse.find(self._settings.fuse_overlayfs, os.environ.get("PATH", ""))
        found = os.stat(program)
        return f"{program} {found.st_dev}:{found.st_ino} {found.st_mtime_ns}"

    def clear(self) -> None:
        """Remove the layers that trials by the kernel have used, and where clones of layers were attached."""
        left = [name for name in os.listdir(self._stage.path) if name.startswith(("lower", "idmapped"))]
        if left:
            from .probe import room

            for name in left:
                room.remove(f"{self._stage.path}/{name}")

    def _make(self, step: Step, by: "Candidate") -> "Failures":
        """Make a trial; give what failed in it. Raises ShimError if it could not be mounted or made."""
        from .probe import rehearsal

        target = self._stage.target(step)
        limit = int(patience.LIMIT) + 2

        def attach(scratch: Step, volatile: bool) -> None:
            self._stage.attach(by.volatile() if volatile else by, scratch, target, limit)

        try:
            # A FUSE server does not see the stage. For the kernel a layer in workdir could overlap others.
            lower = f"{self._stage.path}/lower" if by.backend == "kernel" else ""
            if lower and step.mount.idmap:
                lower += str(step.mount.index)  # its files belong to whom the mapping shows
            if lower and not os.path.isdir(lower):
                rehearsal.lay(lower, step.mount.idmap)
            # fuse-overlayfs cannot have an upper layer with a colon in its path: then only reading is tried.
            tried = Step(step.mount, step.read) if by.backend == "fuse" and ":" in step.work else step
            detach = namespaces.detach
            run = rehearsal.run
            failed: Failures
            failed, by.con[:] = patience.ask(
                lambda tell: (run(tried, attach, detach, target, lower, tell), by.con)
            )
            return failed
        except OSError as e:
            from . import untried

            raise untried.of_scratch(step, e) from None
        except MountError as e:
            e.why = rehearsal.said_of(step, e.why)
            raise
        except HostError:
            self._abandon(step, target)
            raise

    def _abandon(self, step: Step, target: str) -> None:
        """Unmount and remove what is left of a trial that did not end."""
        from .probe import room

        try:
            namespaces.detach(target)
        except OSError:  # it was not mounted yet
            pass
        if step.work:
            scratch = f"{step.work}/{room.SCRATCH}"
            try:
                patience.ask(lambda _: room.remove(scratch), 1.0)
            except (OSError, HostError):
                pass
