"""Where overlays are attached in the private mount namespace, each by the first backend that can."""

import os

from . import linux, namespaces
from .errors import HostError, MountError
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

    def mount(self, step: "Step") -> str:
        """Mount an overlay; give the path. Raises MountError with what each backend said."""
        target = f"{self.path}/{step.mount.index}"
        os.mkdir(target)
        refusals: list[MountError | HostError] = []
        for backend in step.backends:
            if refusals and not _is_cured_by_fuse(refusals[0]):
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

            empty = f"{self.path}/empty"
            if step.needs_empty_lower:
                os.makedirs(empty, exist_ok=True)
            kernel.mount(step, target, empty)
        else:
            from .drivers import fuse

            program = fuse.find(self.fuse_overlayfs, os.environ.get("PATH", ""))
            fuse.mount(step, target, program, self.home, self.name, self.locks)
        why, remedy = mounted.problem(step, target, backend)
        if why:
            linux.umount(target)
            raise MountError(f"overlay on {step.mount.destination} ({backend})", why, remedy)


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


def _is_cured_by_fuse(error: MountError | HostError) -> bool:
    from .drivers.reason import CURED_BY_FUSE

    return isinstance(error, MountError) and (error.errno in CURED_BY_FUSE or not error.errno)
