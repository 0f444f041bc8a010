"""The spec that the runtime gets, pure: the bundle's own text with each overlay become a bind mount."""

from . import jsontext
from .overlay import OverlayMount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Flags that a bind repeats, so that the runtime knows them: runsc kills a program with SIGSEGV that it
#: believes may be executed from a noexec mount, and every runtime clears what a bind does not name.
_REPEATED = (
    "ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "strictatime",
)  # fmt: skip
#: What every released runsc accepts on a bind mount (runsc/specutils/fs.go).
_RUNSC = ("ro", "nosuid", "nodev", "noexec")


def spec(
    text: str,
    binds: "Sequence[tuple[OverlayMount, str]]",
    kind: str,
    more: "Mapping[tuple[str | int, ...], object] | None" = None,
) -> str:
    """Replace overlays by binds of where they are mounted; `kind` is the runtime's, `more` other edits.

    Everything else stays as it came, byte for byte.
    """
    edits = dict(more or {})
    for mount, source in binds:
        for field, value in _bind(mount, source, kind).items():
            edits["mounts", mount.index, field] = value
    return jsontext.replace(text, edits)


def _bind(mount: OverlayMount, source: str, kind: str) -> dict[str, object]:
    known = _RUNSC if kind == "runsc" else _REPEATED
    words = ["rbind", *(flag for flag in known if flag in mount.flags), *mount.propagation]
    bind: dict[str, object] = {"type": "bind", "source": source, "options": words}
    if mount.idmap and mount.idmap.is_own:
        bind |= {"uidMappings": None, "gidMappings": None}  # the layers have them, the bind must not
    return bind
