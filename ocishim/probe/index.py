"""Whether the index in a workdir is that of an upper layer: a copy of both is one that the kernel refuses.

A trial cannot tell, since its upper layer is a scratch one. The kernel keeps the file handle of the upper
layer in an xattr of the index (fs/overlayfs/overlayfs.h, struct ovl_fb), and compares the two at each mount
with index=on.
"""

import os

from .. import linux
from ..errors import MountError, SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..step import Step

#: Version and magic number; then the length, flags, the handle's type, a UUID of 16 bytes, the handle.
_BEGIN = b"\0\xfb"
_TYPE = 4
_HANDLE = 21


def check(step: "Step") -> None:
    """Refuse an overlay whose workdir has the index of another upper layer. Raises MountError."""
    if _is_foreign(step):
        raise MountError(
            step.mount.where,
            f"workdir={step.work} has the index of another upper layer than upperdir={step.upper}, as a copy "
            "of both has",
            "mount with index=off, or begin with an upper layer and a workdir of its own",
            "OVL-OPT-15",
        )


def _is_foreign(step: "Step") -> bool:
    kept = _kept(f"{step.work}/index")
    if kept[:2] != _BEGIN or len(kept) <= _HANDLE:
        return False
    try:
        return (kept[_TYPE], kept[_HANDLE:]) != linux.name_to_handle(step.upper)
    except SyscallError:  # no handles there: then the kernel drops the index, and that is seen
        return False


def _kept(index: str) -> bytes:
    for name in ("trusted.overlay.upper", "user.overlay.upper"):
        try:
            return os.getxattr(index, name)
        except OSError:
            continue
    return b""
