"""What happens before a container is created: its overlays mounted where only the runtime sees them."""

import os

from . import bundle, namespaces, overlay, plan, rewrite
from .errors import HostError, MountError, SpecError, UsageError
from .probe import layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .argv import Invocation
    from .bundle import Bundle
    from .overlay import OverlayMount
    from .plan import Step
    from .probe.layer import Layer
    from .runtime import LowLevelRuntime
    from .settings import Settings


def container(inv: "Invocation", runtime: "LowLevelRuntime", settings: "Settings") -> None:
    """Prepare the container of a create, run or restore; afterwards the runtime can be exec'ed.

    Raises ShimError if the container must not start; then nothing is left mounted once this process ends.
    """
    _name_bundle(inv)
    if inv.id_at < 0:
        return  # the runtime says how it is used
    directory = inv.value(inv.bundle_at) if inv.bundle_at >= 0 else "."
    found = bundle.read(directory, inv.value(inv.config_at) if inv.config_at >= 0 else "")
    mounts = overlay.find(found.spec)
    if not mounts:
        return
    _check_namespaces(found.spec)
    layers = [layer.look(mount, found.directory) for mount in mounts]
    steps = plan.make(mounts, layers, inv.overlay or settings.overlay)
    if runtime.kind == "runsc":
        _prepare_runsc(inv, runtime, found, steps)
    locks = _claim(mounts, layers)
    home = namespaces.enter_private()
    stage = namespaces.make_stage()
    for step in steps:
        _mount(step, stage, settings, home, inv.words[inv.id_at], locks)
    binds = [(step.mount, f"{stage}/{step.mount.index}") for step in steps]
    entries = found.spec["mounts"]
    assert isinstance(entries, list)
    new = rewrite.spec(found.text, entries, binds, runtime.kind)
    namespaces.bind_config(new, stage, found.config)


def _name_bundle(inv: "Invocation") -> None:
    """Give `run BUNDLE` the form that runtimes know: --bundle and an id."""
    if inv.command != "run" or inv.bundle_at >= 0:
        return
    if inv.id_at < 0:
        raise UsageError("run", "no bundle and no container id", "ocishim run BUNDLE")
    named = inv.words[inv.id_at]
    if os.path.isfile(f"{named}/config.json"):
        directory = os.path.realpath(named)
        allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
        name = "".join(c if c in allowed else "-" for c in os.path.basename(directory)).strip("-.")
        inv.words[inv.id_at : inv.id_at + 1] = [
            "--bundle", directory, f"{name[:40] or 'bundle'}-{os.urandom(4).hex()}",
        ]  # fmt: skip
        inv.bundle_at = inv.id_at + 1
        inv.id_at += 2
    elif "/" in named:
        raise UsageError(f"run {named}", "not a bundle: no config.json there", "ocishim run BUNDLE")


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


def _prepare_runsc(
    inv: "Invocation", runtime: "LowLevelRuntime", found: "Bundle", steps: "Sequence[Step]"
) -> None:
    from . import gvisor

    gvisor.check_flags([*runtime.settings.args, *inv.words[: inv.command_at]])
    gvisor.check_spec(found.spec, steps, found.directory)
    # runsc keeps the path as it is given, and reads it from another directory later.
    if inv.bundle_at >= 0:
        inv.set_value(inv.bundle_at, found.directory)
    else:
        at = inv.command_at + 1
        inv.words[at:at] = ["--bundle", found.directory]
        inv.bundle_at, inv.id_at = at + 1, inv.id_at + 2
    if gvisor.wants_exclusive(found.spec, runtime.settings.exclusive):
        import resource

        from .probe import shared

        shared.check(found.spec, steps, found.directory)
        flags = gvisor.exclusive_flags(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        inv.words[inv.command_at : inv.command_at] = flags


def _claim(mounts: "Sequence[OverlayMount]", layers: "Sequence[list[Layer]]") -> list[int]:
    """Keep others out of the upper and work directories; raise SpecError if one is in use."""
    written = [layer for its in layers for layer in its if layer.role in ("upperdir", "workdir")]
    if not written:
        return []
    from .probe import holder

    locks, taken, by = holder.claim(written)
    if taken:
        [mount] = [mount for mount, its in zip(mounts, layers, strict=True) if taken in its]
        raise SpecError(
            f"{mount.where}: {taken.role}={taken.path}",
            f"in use by {by}",
            "give each container its own upperdir and workdir, or end the first",
        )
    return locks


def _mount(step: "Step", stage: str, settings: "Settings", home: int, name: str, locks: list[int]) -> None:
    """Mount by the first backend that works. Raises MountError with what each of them said."""
    target = f"{stage}/{step.mount.index}"
    os.mkdir(target)
    refusals: list[MountError | HostError] = []
    for backend in step.backends:
        if refusals and not _is_cured_by_fuse(refusals[0]):
            break
        try:
            _mount_by(backend, step, stage, target, settings, home, name, locks)
        except (MountError, HostError) as e:
            refusals.append(e)
        else:
            return
    first, *others = refusals
    why = first.why + "".join(f"; and {other.what}: {other.why}" for other in others)
    raise MountError(f"{step.mount.where}: {first.what}", why, first.remedy)


def _mount_by(
    backend: str,
    step: "Step",
    stage: str,
    target: str,
    settings: "Settings",
    home: int,
    name: str,
    locks: list[int],
) -> None:
    from . import linux
    from .probe import mounted

    if backend == "kernel":
        from .drivers import kernel

        empty = f"{stage}/empty"
        if step.needs_empty_lower:
            os.makedirs(empty, exist_ok=True)
        kernel.mount(step, target, empty)
    else:
        from .drivers import fuse

        program = fuse.find(settings.fuse_overlayfs, os.environ.get("PATH", ""))
        fuse.mount(step, target, program, home, name, locks)
    why, remedy = mounted.problem(step, target, backend)
    if why:
        linux.umount(target)
        raise MountError(f"overlay on {step.mount.destination} ({backend})", why, remedy)


def _is_cured_by_fuse(error: MountError | HostError) -> bool:
    from .drivers.reason import CURED_BY_FUSE

    return isinstance(error, MountError) and (error.errno in CURED_BY_FUSE or not error.errno)
