"""The overlays of a container, from the spec to a rewritten config.json that only the runtime sees."""

import os
from errno import ENOENT

from . import filesystems, initial, layers, namespaces, overlay, patience, plan, rewrite
from .choice import Choice
from .errors import ShimError, SpecError
from .probe import here, layer, marks
from .propagation import shared_sources
from .stage import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .argv import Invocation
    from .bundle import Bundle
    from .idmap import Edits, Namespace
    from .overlay import OverlayMount
    from .patience import Tell
    from .runtime import LowLevelRuntime
    from .settings import Settings
    from .step import Step


class Preparation:
    """What is to be done for a container: overlays to mount, and mounts that must go on reaching the host.

    `edits` are what the runtime's spec has otherwise, besides the overlays.
    """

    __slots__ = ("edits", "here", "shared", "steps")

    def __init__(
        self,
        steps: "list[Step]",
        here: here.Here,
        shared: "Sequence[str]" = (),
        edits: "Edits | None" = None,
    ) -> None:
        self.steps = steps
        self.here = here
        self.shared = shared
        self.edits = edits or {}


def enter(
    inv: "Invocation", runtime: "LowLevelRuntime", found: "Bundle", *, makes: bool = True
) -> "Namespace | None":
    """Become root of a user namespace where this process may not mount; None where it may.

    There is no way back. `makes` tells that a container will be made, and not only planned. Raises ShimError
    if there can be no such namespace.
    """
    if initial.may_mount():
        return None
    from . import rootless

    return rootless.enter(inv, runtime, found, makes=makes)


def decide(
    inv: "Invocation",
    runtime: "LowLevelRuntime",
    settings: "Settings",
    found: "Bundle",
    mounts: "Sequence[OverlayMount]",
    namespace: "Namespace | None" = None,
) -> Preparation:
    """Look at a bundle's overlays and decide; give `inv` what the runtime needs. Nothing is mounted.

    Raises ShimError if the container must not start.
    """
    _check_namespaces(found.spec)
    label(found.spec, mounts)
    this = here.look()
    forced = plan.forced(found.spec, mounts)
    mode = inv.overlay or settings.overlay
    steps = plan.make(mounts, look(mounts, found.directory, this), this, mode, forced, runtime.kind)
    if runtime.kind == "runsc":
        from . import gvisor

        gvisor.prepare(inv, runtime.settings, found, steps, this.is_initial)
    if namespace:  # nothing goes back from there to the host
        return Preparation(steps, this, (), namespace.edits)
    shared = shared_sources(found, (os.path.realpath(found.config), namespaces.STAGE))
    return Preparation(steps, this, shared, {} if this.is_initial else _edits_in_namespace(found.spec))


def _edits_in_namespace(spec: dict[str, object]) -> "Edits":
    """Find what a spec cannot have in a user namespace that somebody else made."""
    from . import idmap

    with open("/proc/self/gid_map", encoding="ascii") as file:
        return idmap.terminals(spec, idmap.ranges(file.read()))


def label(spec: dict[str, object], mounts: "Sequence[OverlayMount]") -> None:
    """Give overlays the label that the spec's mounts get, where labels mean something."""
    context = overlay.label_of(spec)
    if context:
        from .probe import selinux

        if selinux.is_enabled():
            overlay.label(mounts, context)


def look(
    mounts: "Sequence[OverlayMount]", directory: str, this: here.Here
) -> list[tuple[list[layer.Layer], list[marks.Mark]]]:
    """Look at all layers, and for marks in them. Raises HostError if a file system does not answer."""

    def work(tell: "Tell") -> "list[tuple[list[layer.Layer], list[marks.Mark]]]":
        return [_look_at(mount, directory, this, tell) for mount in mounts]

    def carry(tell: "Tell") -> "Any":
        return [
            ([each.fields() for each in its], [mark.fields() for mark in marked])
            for its, marked in work(tell)
        ]

    if patience.is_needless():
        return work(lambda _: None)
    return [
        ([layer.Layer(*fields) for fields in its], [marks.Mark(*fields) for fields in marked])
        for its, marked in patience.ask(carry)
    ]


def _look_at(
    mount: "OverlayMount", directory: str, this: here.Here, tell: "Tell"
) -> tuple[list[layer.Layer], list[marks.Mark]]:
    looked = []
    for role, path in layer.named(mount):
        tell(f"{mount.where}: {role}={path}")
        looked.append(layer.look(role, path, directory, this.is_initial))
    _check_colons(mount, looked)
    if mount.idmap:
        from . import idmapped

        idmapped.look(mount.idmap, looked)
    for each in looked:
        if each.magic in filesystems.REMOTE:  # the walk for marks goes through all: this one may hang
            tell(f"{mount.where}: {each.role}={each.written}")
    return looked, [] if any(each.errno for each in looked) else marks.look(looked, this.is_initial)[0]


def _check_colons(mount: "OverlayMount", looked: "Sequence[layer.Layer]") -> None:
    """Refuse a lower layer that is missing because its name was split at a colon."""
    lower = [each for each in looked if each.role == "lowerdir"]
    for at, other in enumerate(lower[1:]):
        one = lower[at]
        whole = f"{one.path}:{other.written}"
        if ENOENT in (one.errno, other.errno) and os.path.isdir(whole):
            from . import refusal

            missing = one if one.errno else other
            raise refusal.of("OVL-OPT-04", mount.where, role="lowerdir", path=missing.path, other=whole)


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
    occupy_standard_descriptors()
    namespace = enter(inv, runtime, found)
    name = inv.words[inv.id_at] if inv.id_at >= 0 else "?"
    decided = decide(inv, runtime, settings, found, mounts, namespace)
    locks = lock(decided.steps)
    stage = Stage(decided.shared, settings, name, locks, decided.here)
    stage.check_free(decided.steps)
    choice = Choice(stage, settings)
    binds = [(step.mount, choice.mount(step)) for step in decided.steps]
    choice.clear()
    text = rewrite.spec(found.text, binds, runtime.kind, decided.edits)
    namespaces.bind_config(text, stage.path, found.config)


def rehearse(settings: "Settings", decided: Preparation) -> list[str]:
    """Find the backend for each overlay by trials, mounting nothing for good. Raises ShimError.

    A child does it, since a private mount namespace cannot be left. What each candidate was rejected for is
    put into it, as `overlays` would, and into each step who else writes to its lower layers.
    """

    def work(_: "Tell") -> list[tuple[str, list[tuple[tuple[str, ...], list[str]]], dict[str, str]]]:
        stage = Stage([], settings, "plan", lock(decided.steps), decided.here)
        stage.check_free(decided.steps)
        writers = stage.writers(decided.steps)
        choice = Choice(stage, settings)
        found = []
        for step in decided.steps:
            chosen = choice.choose(step)
            told = [(each.rejected.args if each.rejected else (), each.con) for each in step.candidates]
            its = {layer.path: writers[layer.path] for layer in step.read if layer.path in writers}
            found.append((chosen.backend, told, its))
        return found

    chosen = []
    limit = patience.LIMIT * (2 * len(decided.steps) + 1)
    for step, (backend, told, its) in zip(decided.steps, patience.ask(work, limit), strict=True):
        step.writers = its
        for candidate, (arguments, con) in zip(step.candidates, told, strict=True):
            candidate.con = con
            candidate.rejected = ShimError(*arguments) if arguments else None
        chosen.append(backend)
    return chosen


def occupy_standard_descriptors() -> None:
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


def lock(steps: "Sequence[Step]") -> list[int]:
    """Keep others out of the upper and work directories; raise SpecError if one stays locked."""
    written = [layer for step in steps for layer in step.written]
    if not written:
        return []
    from .probe import holder

    locks, taken, by = holder.lock(written)
    if taken:
        raise layers.in_use(steps, taken, by)
    return locks
