"""What a decision must know of this process and kernel, and no more: it is looked up for each container."""

import os

from .. import initial

_PARAMETERS = "/sys/module/overlay/parameters"
#: The module's parameters that change what an overlay means.
_MEANING = ("index", "metacopy", "nfs_export", "redirect_dir", "xino_auto")


class Here:
    """`is_initial` tells whether this is the initial user namespace, where overlays may use trusted xattrs.

    `defaults` are the options of overlay that the module's parameters turn on, `rights` this process's
    effective capabilities, as proc(5) shows them.
    """

    __slots__ = ("defaults", "is_initial", "rights")

    def __init__(self, is_initial: bool = True, defaults: tuple[str, ...] = (), rights: str = "") -> None:
        self.is_initial = is_initial
        self.defaults = defaults
        self.rights = rights


def look() -> Here:
    """Look."""
    return Here(initial.is_here(), defaults(), initial.rights())


def defaults() -> tuple[str, ...]:
    """Give the options that are on by default here; the module is loaded for that."""
    if not os.path.isdir(_PARAMETERS):
        from .. import linux

        try:
            os.close(linux.fsopen("overlay"))
        except OSError:
            return ()
    return tuple(name.removesuffix("_auto") for name in _MEANING if _is_on(name))


def _is_on(name: str) -> bool:
    try:
        file = os.open(f"{_PARAMETERS}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(file, 2)[:1] == b"Y"
    finally:
        os.close(file)
