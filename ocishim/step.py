"""One overlay to mount: its entry, its layers as real paths, the ways to mount it."""

from . import options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .candidate import Candidate
    from .overlay import OverlayMount
    from .probe.layer import Layer

#: Lower layers of one overlay (fs/overlayfs/params.h, OVL_MAX_STACK).
_MOST_LOWERS = 500


class Step:
    """One overlay to mount: the entry, its layers as real paths, and the backends to try, in order.

    `written` are upperdir and workdir as they were looked at, `read` the lower layers. `writers` tells, once
    somebody asked (prepare.rehearse), which of those others write to: path, by whom.
    """

    __slots__ = ("candidates", "data", "lower", "mount", "read", "upper", "work", "writers", "written")

    def __init__(self, mount: "OverlayMount", layers: "Sequence[Layer]") -> None:
        self.mount = mount
        self.upper = "".join(layer.path for layer in layers if layer.role == "upperdir")
        self.work = "".join(layer.path for layer in layers if layer.role == "workdir")
        self.lower = [layer.path for layer in layers if layer.role == "lowerdir"]
        self.data = [layer.path for layer in layers if layer.role == "datadir"]
        self.written = [layer for layer in layers if layer.role in ("upperdir", "workdir")]
        self.read = [layer for layer in layers if layer.role in ("lowerdir", "datadir")]
        self.candidates: list[Candidate] = []
        self.writers: dict[str, str] = {}

    @property
    def needs_empty_lower(self) -> bool:
        """Whether the kernel wants a second lower: it takes no read-only overlay of a single layer."""
        return not self.upper and len(self.lower) == 1

    @property
    def has_index(self) -> bool:
        """Whether the spec asks for an index, by which the kernel compares layers with earlier ones."""
        return "on" in (self.mount.options.get("index"), self.mount.options.get("nfs_export"))

    @property
    def layers(self) -> "list[Layer]":
        """All layers, top → bottom."""
        return [*self.written, *self.read]

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that are open to be tried, in order."""
        return tuple(each.backend for each in self.candidates if not each.rejected)

    def scratch(self, upper: str, work: str, lowest: str) -> "Step":
        """Give this overlay once more, with another upper layer and one more lower layer at the bottom.

        Where there are as many as can be, it takes the place of the last one.
        """
        copy = Step(self.mount, self.read)
        copy.upper, copy.work = upper, work
        del copy.lower[_MOST_LOWERS - 1 - len(copy.data) :]
        copy.lower.append(lowest)
        return copy

    def at(self, places: "Mapping[str, str]") -> "Step":
        """Give this overlay with other paths to its layers, by the real ones; others stay."""
        copy = Step(self.mount, self.read)
        copy.written = self.written
        copy.upper, copy.work = places.get(self.upper, ""), places.get(self.work, "")
        copy.lower = [places.get(path, path) for path in self.lower]
        copy.data = [places.get(path, path) for path in self.data]
        return copy

    def describe(self, by: "Candidate | None" = None) -> str:
        """Say what is mounted where, layers top → bottom."""
        parts = [f"lower {_listed(self.lower)}"]
        if self.data:
            parts.append(f"data {_listed(self.data)}")
        if self.upper:
            parts.append(f"upper {options.escape(self.upper)}")
        told = [by.backend, *by.words] if by else ["/".join(self.backends)]
        parts[-1] += f" ({', '.join([*told, *self.mount.flags])})"
        return f"overlay on {self.mount.destination}: {', '.join(parts)}"


def _listed(paths: "Sequence[str]") -> str:
    if len(paths) > 6:
        shown = [*paths[:3], f"… {len(paths) - 4} more …", paths[-1]]
        return ":".join(shown)
    return ":".join(options.escape(path) for path in paths)
