"""Where overlays are attached in the private mount namespace, each by the first backend that can."""

import os

from . import linux, namespaces
from .errors import HostError, MountError
from .plan import in_use
from .probe import kmsg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .plan import Step


class Stage:
    """A fresh private mount namespace with a tmpfs for mount points.

    `fuse_overlayfs` is the program for FUSE overlays, `name` the container's id for its command line; it
    keeps `locks` locked as long as it runs. Raises HostError if this process may not make namespaces.
    """

    def __init__(
        self, shared: "Sequence[str]", fuse_overlayfs: str, name: str, locks: "Sequence[int]"
    ) -> None:
        self.fuse_overlayfs = fuse_overlayfs
        self.name = name
        self.locks = locks
        self.home = namespaces.enter_private(shared)
        self.path = namespaces.make_stage()
        self.kernel_log = kmsg.Watch()

    def check_free(self, steps: "Sequence[Step]") -> None:
        """Raise SpecError if another overlay has one of the upper and work directories."""
        written = [layer for step in steps for layer in step.written]
        if not written:
            return
        from .probe import holder

        found = holder.search(written)
        if found and self._is_busy(found[0].path) is not False:
            raise in_use(steps, *found)

    def mount(self, step: "Step") -> str:
        """Mount an overlay; give the path. Raises MountError with what each backend said."""
        target = f"{self.path}/{step.mount.index}"
        os.mkdir(target)
        refusals: list[MountError | HostError] = []
        for backend in step.backends:
            if refusals and not _is_cured_by_fuse(refusals[0], self.kernel_log.said()):
                break
            try:
                self._mount_by(backend, step, target)
            except (MountError, HostError) as e:
                refusals.append(e)
            else:
                return target
        raise _all_of(step, refusals, self.kernel_log.said())

    def _mount_by(self, backend: str, step: "Step", target: str) -> None:
        from .probe import mounted

        if backend == "kernel":
            from .drivers import kernel

            kernel.mount(step, target, self._empty() if step.needs_empty_lower else "")
            self._check_alone(step, target)
        else:
            from .drivers import fuse

            program = fuse.find(self.fuse_overlayfs, os.environ.get("PATH", ""))
            fuse.mount(step, target, program, self.home, self.name, self.locks)
        why, remedy = mounted.problem(step, target, backend)
        if why:
            linux.umount(target)
            raise MountError(f"overlay on {step.mount.destination} ({backend})", why, remedy)

    def _check_alone(self, step: "Step", target: str) -> None:
        """Refuse an upperdir that is in use by a path that shows it to nobody (moved, or mounted over).

        The kernel then only logs a warning, and its log is the whole machine's: it is asked again.
        """
        said = self.kernel_log.new() if step.upper else ""
        if "upperdir is in-use" not in said and "workdir is in-use" not in said:
            return
        linux.umount(target)
        for layer in step.written:
            if self._is_busy(layer.path):
                raise in_use([step], layer, "another overlay, which has it by another path")
        self._mount_by("kernel", step, target)

    def _is_busy(self, path: str) -> bool | None:
        from .probe import busy

        return busy.is_busy(path, self._empty())

    def _empty(self) -> str:
        os.makedirs(f"{self.path}/empty", exist_ok=True)
        return f"{self.path}/empty"


def _all_of(step: "Step", refusals: "Sequence[MountError | HostError]", said: str) -> MountError:
    """Make one error of what each backend said and of the kernel's log."""
    from .findings import recognise

    first, *others = refusals
    why = first.why
    if said and said not in why:
        why += f" (kernel log: {said})"
    finding = recognise(why)
    page = f"ocishim explain {finding.id}" if finding else ""
    why += "".join(f"; and {other.what}: {other.why}" for other in others)
    remedy = "; ".join(filter(None, (first.remedy, page))) or "dmesg may say more"
    return MountError(f"{step.mount.where}: {first.what}", why, remedy)


def _is_cured_by_fuse(error: MountError | HostError, said: str) -> bool:
    from .drivers import reason

    return isinstance(error, MountError) and reason.is_cured_by_fuse(error.errno, f"{error.why} {said}")
