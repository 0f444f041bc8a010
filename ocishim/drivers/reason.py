"""What the kernel's refusal of an overlay means: errno and its own words in, a reason and a remedy out."""

from errno import EBUSY, EINVAL, ELOOP, ENODEV, EOPNOTSUPP, EPERM, EREMOTE, EROFS, ESTALE

from ..errors import SyscallError, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..step import Step

#: Refusals that come from what the kernel's overlayfs cannot do here, and that fuse-overlayfs may cure:
#: no overlay in the kernel, not permitted, a file system that cannot be a layer, stacked too deep.
_CURED_BY_FUSE = (0, ENODEV, EPERM, EINVAL, EOPNOTSUPP, EREMOTE, EROFS)
#: Words of refusals that protect data: another driver would only not notice.
_PROTECTS = ("incompat", "volatile", "unseen error", "in-use", "in use", "failed to verify", "index dir")

_REMEDIES = {
    ENODEV: ("ENODEV: this kernel has no overlay file system", "modprobe overlay"),
    ELOOP: ("ELOOP: a lower layer lies inside another layer", "use separate trees"),
    ESTALE: (
        "ESTALE: upperdir was used with other lower layers and index=on",
        "use the lower layers it was made with, or index=off",
    ),
    EBUSY: ("EBUSY: upperdir or workdir is in use by another overlay", "give it its own"),
}


def is_cured_by_fuse(errno: int) -> bool:
    """Tell whether fuse-overlayfs may mount what the kernel refused so."""
    return errno in _CURED_BY_FUSE


def protects(said: str) -> bool:
    """Tell whether a refusal protects the data of upperdir; `said` are the kernel's words on that very mount.

    Of a trial it never does, which has an upper layer of its own. The kernel's log is the whole machine's, so
    words from it count only while the mount is made.
    """
    return any(word in said for word in _PROTECTS)


def of_kernel(error: SyscallError, step: "Step", log: str) -> tuple[str, str]:
    """Explain a failed system call of an overlay mount; `log` is what the fs context said."""
    if log:
        return f"{words(error.errno or 0)}: {log}", ""
    if error.errno in _REMEDIES:
        return _REMEDIES[error.errno]
    if error.syscall == "fsconfig" and error.path in ("context", *step.mount.lsm):
        return f"{error}: no security module here knows it", "remove it and linux.mountLabel"
    return str(error), ""
