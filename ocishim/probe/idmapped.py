"""An overlay of an idmapped layer, tried on scratch layers below the current directory."""

import os
from errno import EINVAL

from .. import linux
from ..errors import SyscallError
from . import scratch

_CLONE_NEWUSER = 0x10000000


def overlay() -> list[str]:
    """Give the lower layer l1 to other ids, mount an overlay of it, and see whose the file is there."""
    scratch.fill()
    os.mkdir("i1")
    other = _other_id()
    try:
        userns = _user_namespace(other)
        tree = linux.open_tree("l1")
        try:
            linux.mount_setattr_idmap(tree, userns)
            linux.move_mount(tree, "i1")
        finally:
            os.close(userns)
            os.close(tree)
    except SyscallError as e:
        if (e.syscall, e.errno) == ("mount_setattr", EINVAL):
            return ["unknown", e.syscall, "EINVAL", "tmpfs cannot be idmapped here, a disk may"]
        return scratch.no(e)
    except OSError as e:
        return ["unknown", "", "", f"no user namespace to map by: {e.strerror}"]
    attempt = scratch.mount("idmapped", ("lowerdir=i1:l2", "upperdir=", "workdir="))
    if attempt[0] == "yes":
        if os.stat("m/directory/file").st_uid != other:
            attempt = ["no", "stat", "", "the kernel mounts it and shows the owners as they were"]
        linux.umount("m")
    linux.umount("i1")
    return attempt


def _other_id() -> int:
    """Choose an id to show root's files as; in a user namespace of one id there is no other."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return 1 if int(file.readline().split()[2]) > 1 else 0


def _user_namespace(outside: int) -> int:
    """Make a user namespace that maps one id; give a descriptor of it."""
    ready, ready_in = os.pipe2(os.O_CLOEXEC)
    done_out, done = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.close(done)
            linux.unshare(_CLONE_NEWUSER)
            os.write(ready_in, b"y")
            os.read(done_out, 1)  # until nobody has the other end any more
        finally:
            os._exit(0)
    os.close(ready_in)
    os.close(done_out)
    try:
        if not os.read(ready, 1):
            raise SyscallError(EINVAL, "unshare(CLONE_NEWUSER)")
        scratch.write(f"/proc/{child}/setgroups", "deny")
        scratch.write(f"/proc/{child}/uid_map", f"0 {outside} 1")
        scratch.write(f"/proc/{child}/gid_map", f"0 {outside} 1")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.close(done)
        os.waitpid(child, 0)
