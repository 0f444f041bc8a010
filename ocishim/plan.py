"""The decision, pure: what each overlay of a spec is mounted from, and by which backends, in order."""

from . import candidate, layers, options
from .errors import SpecError
from .overlay import OverlayMount
from .step import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .probe.here import Here
    from .probe.layer import Layer
    from .probe.marks import Mark

#: The annotation that forces a backend for single overlays: "/ov=fuse,/data=kernel".
BACKEND = "dev.ocishim/backend"


def make(
    mounts: "Sequence[OverlayMount]",
    found: "Sequence[tuple[list[Layer], list[Mark]]]",
    here: "Here",
    mode: str,
    forced: "Mapping[str, str] | None" = None,
    kind: str = "runc",
) -> list[Step]:
    """Decide for each overlay, by its layers and the marks in them.

    `mode` is auto, kernel or fuse, `forced` the same for single destinations, `kind` the runtime's.
    Raises SpecError where the layers cannot make the overlay, or where no backend is left.
    """
    steps = []
    for mount, (its_layers, marks) in zip(mounts, found, strict=True):
        layers.check(mount.where, its_layers)
        step = Step(mount, its_layers)
        wanted = (forced or {}).get(mount.destination, mode)
        if wanted != "fuse":
            step.candidates.append(candidate.kernel(mount, its_layers, marks, here))
        if wanted != "kernel":
            step.candidates.append(candidate.fuse(mount, its_layers, marks, here, kind))
        if not step.backends:
            raise _refused(step)
        steps.append(step)
    layers.check_writers(steps)
    return steps


def _refused(step: Step) -> SpecError:
    """Make one error of why no backend can: the first is what the user must know, the others follow."""
    first, *others = [each.rejected for each in step.candidates if each.rejected]
    why = first.why
    for other in others:
        if other.why != first.why:
            why += f"; nor by fuse-overlayfs: {other.why}" + (f" ({other.page})" if other.page else "")
    return SpecError(first.what, why, first.remedy, first.page)


def forced(spec: dict[str, object], mounts: "Sequence[OverlayMount]") -> dict[str, str]:
    """Read the annotation BACKEND: a backend by destination. Raises SpecError for what names no overlay."""
    annotations = spec.get("annotations")
    text = annotations.get(BACKEND) if isinstance(annotations, dict) else None
    if text is None:
        return {}
    where = f'annotations["{BACKEND}"]'
    destinations = {mount.destination for mount in mounts}
    found: dict[str, str] = {}
    if not isinstance(text, str):
        raise SpecError(where, "not a string", 'write "DESTINATION=kernel" or "DESTINATION=fuse"')
    for word in options.split(text):
        destination, _, mode = word.strip().rpartition("=")
        destination = options.unescape(destination)
        if mode not in ("auto", "kernel", "fuse") or not destination:
            raise SpecError(where, f'"{word}"', "write DESTINATION=kernel or =fuse, with commas between")
        if destination not in destinations:
            known = ", ".join(sorted(destinations))
            raise SpecError(where, f"no overlay on {destination}", f"the overlays are on {known}")
        if found.setdefault(destination, mode) != mode:
            raise SpecError(where, f"{destination} twice, with different backends", "keep one of the two")
    return found
