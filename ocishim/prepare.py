"""The overlays of a container, from the spec to a rewritten config.json that only the runtime sees."""

import os

from . import namespaces, overlay, plan, rewrite
from .errors import SpecError
from .probe import layer
from .propagation import shared_sources
from .stage import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .argv import Invocation
    from .bundle import Bundle
    from .overlay import OverlayMount
    from .runtime import LowLevelRuntime
    from .settings import Settings


class Preparation:
    """What is to be done for a container: overlays to mount, and mounts that must go on reaching the host."""

    __slots__ = ("shared", "steps")

    def __init__(self, steps: list[plan.Step], shared: list[str]) -> None:
        self.steps = steps
        self.shared = shared


def decide(
    inv: "Invocation",
    runtime: "LowLevelRuntime",
    settings: "Settings",
    found: "Bundle",
    mounts: "Sequence[OverlayMount]",
) -> Preparation:
    """Look at a bundle's overlays and decide; give `inv` what the runtime needs. Nothing is mounted.

    Raises ShimError if the container must not start.
    """
    _check_namespaces(found.spec)
    label = overlay.label_of(found.spec)
    if label:
        from .probe import selinux

        if selinux.is_enabled():
            overlay.label(mounts, label)
    layers = [layer.look(mount, found.directory) for mount in mounts]
    steps = plan.make(mounts, layers, inv.overlay or settings.overlay, runtime.kind)
    if runtime.kind == "runsc":
        from . import gvisor

        gvisor.prepare(inv, runtime.settings, found, steps)
    return Preparation(steps, shared_sources(found, (os.path.realpath(found.config), namespaces.STAGE)))


def overlays(
    inv: "Invocation",
    runtime: "LowLevelRuntime",
    settings: "Settings",
    found: "Bundle",
    mounts: "Sequence[OverlayMount]",
) -> None:
    """Mount the overlays of a bundle in a private mount namespace, for the runtime that is exec'ed next.

    Raises ShimError if the container must not start.
    """
    _occupy_standard_descriptors()
    name = inv.words[inv.id_at] if inv.id_at >= 0 else "?"
    decided = decide(inv, runtime, settings, found, mounts)
    locks = _lock(decided.steps)
    stage = Stage(decided.shared, settings.fuse_overlayfs, name, locks)
    stage.check_free(decided.steps)
    binds = [(step.mount, stage.mount(step)) for step in decided.steps]
    namespaces.bind_config(rewrite.spec(found.text, binds, runtime.kind), stage.path, found.config)


def _occupy_standard_descriptors() -> None:
    """Keep 0, 1 and 2 from ocishim's own files where the caller closed them: a FUSE server gets its own."""
    while os.open("/", os.O_PATH | os.O_CLOEXEC) < 2:
        pass


def _check_namespaces(spec: dict[str, object]) -> None:
    linux = spec.get("linux")
    entries = linux.get("namespaces") if isinstance(linux, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict) and entry.get("type") == "mount" and entry.get("path"):
            raise SpecError(
                f"linux.namespaces[{index}].path",
                f"{entry['path']}: an overlay would not be seen in a mount namespace made by others",
                "remove the path",
            )


def _lock(steps: "Sequence[plan.Step]") -> list[int]:
    """Keep others out of the upper and work directories; raise SpecError if one stays locked."""
    written = [layer for step in steps for layer in step.written]
    if not written:
        return []
    from .probe import holder

    locks, taken, by = holder.lock(written)
    if taken:
        raise plan.in_use(steps, taken, by)
    return locks
