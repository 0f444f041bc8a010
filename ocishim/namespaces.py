"""The private mount namespace: what ocishim and the runtime see, and nobody else."""

import os
from errno import ENOSPC

from . import linux
from .errors import HostError, SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: A directory that comes with ocishim and that nobody needs: overlays are attached above it. Only the
#: private namespace sees them there, and the host gets no new file for it. The path as mountinfo shows it.
STAGE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "stage")


def enter_private(shared: "Sequence[str]" = ()) -> int:
    """Leave the caller's mount namespace for a copy; give a descriptor of the one that was left.

    What the host mounts later still arrives (slave), nothing goes back, but from below `shared`: real paths,
    none inside another. The kernel drops the copy with its last process. Raises HostError if that may not be
    done here.
    """
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        trees = [linux.open_tree(path) for path in shared]
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("", "/", "", linux.MS_REC | linux.MS_SLAVE)
        for tree, path in zip(trees, shared, strict=True):
            linux.move_mount(tree, path)
            os.close(tree)
    except SyscallError as e:
        if e.syscall == "unshare" and e.errno == 1:
            from . import refusal

            uid = os.geteuid()
            raise refusal.host("OVL-KRN-15", "run ocishim as root" if uid else "", uid=uid) from None
        if e.syscall == "mount" and e.errno == 22:
            raise HostError(
                "mount propagation of /",
                "EINVAL: / is not a mount point, as in a chroot",
                "mount --bind the root directory onto itself before the chroot",
            ) from None
        if e.syscall == "mount":
            from . import findings

            why = f"{e}, by a seccomp filter or a security module"
            remedy = findings.get("OVL-KRN-15").remedy
            raise HostError("private mount namespace", why, remedy, "OVL-KRN-15") from None
        raise HostError("private mount namespace", str(e), "see user_namespaces(7)") from None
    return home


def make_stage() -> str:
    """Put a tmpfs above the stage directory, in the private namespace only; give its path."""
    try:
        flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
        linux.mount("tmpfs", STAGE, "tmpfs", flags, "mode=0755,size=64m")
    except SyscallError as e:
        if e.errno == ENOSPC:
            raise _full() from None
        raise HostError(f"tmpfs on {STAGE}", str(e), "is ocishim installed whole?") from None
    return STAGE


def _full() -> HostError:
    """Say that this namespace can have no more mounts."""
    from . import refusal

    with open("/proc/self/mountinfo", "rb") as table, open("/proc/sys/fs/mount-max", "rb") as limit:
        count = table.read().count(b"\n")
        return refusal.host("OVL-KRN-13", count=count, sysctl="fs.mount-max", limit=int(limit.read()))


def detach(target: str) -> None:
    """Unmount what is mounted there, also if its FUSE server does not answer. Raises SyscallError."""
    try:
        linux.umount(target, force=True)
    except SyscallError as e:
        if e.errno != 1:
            raise
        linux.umount(target)  # older kernels force nothing in a user namespace


def bind_config(text: str, stage: str, config: str) -> None:
    """Let everything in the private namespace read `text` in place of the bundle's config.json.

    Nothing but the overlays is left in the stage then: a container that binds the directories around it
    with all that is mounted there (rbind of /usr, of /) has its own overlays there once more. Making the
    stage unbindable does not help: kernel 6.18 forgets it when a namespace is copied. Raises OSError.
    """
    new = f"{stage}/config.json"
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        data = text.encode("utf-8", "surrogateescape")
        while data:
            data = data[os.write(file, data) :]
    finally:
        os.close(file)
    linux.mount(new, config, "", linux.MS_BIND)
    os.unlink(new)
