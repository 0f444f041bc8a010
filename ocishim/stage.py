"""Where overlays are attached: the private mount namespace, by the kernel or by fuse-overlayfs."""

import os

from . import filesystems, namespaces, patience
from .errors import HostError, MountError
from .layers import in_use
from .probe import kmsg
from .probe.same import check_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .candidate import Candidate
    from .patience import Tell
    from .probe.here import Here
    from .probe.layer import Layer
    from .settings import Settings
    from .step import Step


class Stage:
    """A fresh private mount namespace with a tmpfs for mount points.

    `name` is the container's id for the command line of a FUSE server, which keeps `locks` locked as long as
    it runs. Raises HostError if this process may not make namespaces.
    """

    def __init__(
        self, shared: "Sequence[str]", settings: "Settings", name: str, locks: "Sequence[int]", here: "Here"
    ) -> None:
        self.settings = settings
        self.name = name
        self.locks = locks
        self.here = here
        self.home = namespaces.enter_private(shared)
        self.path = namespaces.make_stage()
        self.kernel_log = kmsg.Watch()

    def check_free(self, steps: "Sequence[Step]") -> None:
        """Raise SpecError if another overlay has one of the upper and work directories.

        With index=on the kernel refuses a lower layer that another overlay writes to, too.
        """
        claimed = [layer for step in steps for layer in (step.layers if step.has_index else step.written)]
        for layer, by in _search(claimed):
            if self._is_busy(layer.path) is not False:
                raise in_use(steps, layer, by)

    def writers(self, steps: "Sequence[Step]") -> dict[str, str]:
        """Find lower layers that another overlay writes to: path, and which container's it is."""
        from .probe import holder

        read = [layer for step in steps for layer in step.read]
        served = holder.server(read)
        found = {served[0].path: served[1]} if served else {}
        for layer, by in _search(read):
            if layer.path not in found and self._is_busy(layer.path) is not False:
                found[layer.path] = by
        return found

    def target(self, step: "Step") -> str:
        """Give the mount point of an overlay; it is there."""
        target = f"{self.path}/{step.mount.index}"
        os.makedirs(target, exist_ok=True)
        return target

    def attach(self, by: "Candidate", step: "Step", target: str, limit: int = 0) -> None:
        """Mount an overlay by one backend, and look at what came up. Raises ShimError.

        `limit` is the time of a FUSE server in seconds, 0 for any.
        """
        from .probe import mounted

        if by.backend == "kernel":
            empty = self._empty() if step.needs_empty_lower else ""
            self._by_kernel(by, step, target, empty)
            if any(layer.magic == filesystems.FUSE for layer in step.read) and mounted.is_refused(target):
                namespaces.detach(target)
                self._by_kernel(by, step, target, empty)
                by.con.append("a FUSE layer refuses the first access, so it is mounted twice")
            self._check_alone(step, by, target)
        else:
            from .drivers import fuse

            program = fuse.find(self.settings.fuse_overlayfs, os.environ.get("PATH", ""))
            server = fuse.Server(program, self.home, self.name, self.locks, limit)
            fuse.mount(step, by, target, server)
        try:
            check_all(step.layers)
        except HostError:
            namespaces.detach(target)
            raise
        why, remedy, page = mounted.problem(step, target, by.backend)
        if why:
            namespaces.detach(target)
            what = step.mount.where if page else f"overlay on {step.mount.destination} ({by.backend})"
            raise MountError(what, why, remedy, page)

    def _by_kernel(self, by: "Candidate", step: "Step", target: str, empty: str) -> None:
        from .drivers import kernel

        if not step.mount.idmap:
            kernel.mount(step, by, target, empty)
            return
        from . import idmapped

        with idmapped.Clones(step, step.mount.idmap, self.path) as clones:
            kernel.mount(clones, by, target, empty)

    def _check_alone(self, step: "Step", by: "Candidate", target: str) -> None:
        """Refuse an upperdir that is in use by a path that shows it to nobody (moved, or mounted over).

        The kernel then only logs a warning, and its log is the whole machine's: it is asked again.
        """
        said = self.kernel_log.new() if step.upper else ""
        if "upperdir is in-use" not in said and "workdir is in-use" not in said:
            return
        namespaces.detach(target)
        for layer in step.written:
            if self._is_busy(layer.path):
                raise in_use([step], layer, "another overlay, which has it by another path")
        self.attach(by, step, target)

    def _is_busy(self, path: str) -> bool | None:
        from .probe import busy

        return busy.is_busy(path, self._empty())

    def _empty(self) -> str:
        os.makedirs(f"{self.path}/empty", exist_ok=True)
        return f"{self.path}/empty"


def _search(layers: "Sequence[Layer]") -> "Iterable[tuple[Layer, str]]":
    """Find whose overlays write to one of these directories, in a child where a server may not answer."""
    if not layers:
        return ()
    from .probe import holder

    if patience.is_needless():
        return holder.search([*layers])
    # Anybody's overlays are looked at, also those on a server that does not answer.

    def work(tell: "Tell") -> list[tuple[int, str]]:
        tell(f"all overlays, searched for {layers[0].path}")
        return [(layers.index(layer), by) for layer, by in holder.search([*layers])]

    return [(layers[at], by) for at, by in patience.ask(work)]
