"""An overlay of an idmapped layer, tried on scratch layers below the current directory."""

import os
from errno import EINVAL

from .. import linux
from ..errors import HostError, SyscallError
from ..idmapped import user_namespace
from ..shift import IdMap
from . import scratch


def overlay() -> list[str]:
    """Give the lower layer l1 to other ids, mount an overlay of it, and see whose the file is there."""
    scratch.fill()
    os.mkdir("i1")
    other = _other_id()
    try:
        userns = user_namespace(IdMap(((0, other, 1),), ((0, other, 1),)))
        tree = linux.open_tree("l1")
        try:
            linux.mount_setattr_idmap(tree, userns)
            linux.move_mount(tree, "i1")
        finally:
            os.close(tree)
    except SyscallError as e:
        if (e.syscall, e.errno) == ("mount_setattr", EINVAL):
            return ["unknown", e.syscall, "EINVAL", "tmpfs cannot be idmapped here, a disk may"]
        return scratch.no(e)
    except HostError as e:
        return ["unknown", "", "", f"{e.what}: {e.why}"]
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
