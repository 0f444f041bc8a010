"""Whether the kernel has a directory as upperdir or workdir of an overlay, by any path, in any namespace."""

import os
from errno import EBUSY, EINVAL

from .. import linux
from ..errors import SyscallError


def is_busy(upper: str, scratch: str) -> bool | None:
    """Ask the kernel about an upperdir; `scratch` is an empty directory on another mount.

    With index=on a directory in use is EBUSY; otherwise the mount fails with EINVAL, since workdir is on
    another mount, and nothing is written anywhere. The kernel logs a line for that, so ask only on suspicion.
    Gives None where the kernel cannot be asked (before 6.13).
    """
    try:
        context = linux.fsopen("overlay")
    except SyscallError:
        return None
    try:
        for key, path in (("lowerdir+", "/"), ("upperdir", upper), ("workdir", scratch)):
            file = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                linux.fsconfig_fd(context, key, file)
            finally:
                os.close(file)
        linux.fsconfig_string(context, "index", "on")
    except OSError:
        os.close(context)
        return None
    try:
        linux.fsconfig_create(context)
    except SyscallError as e:
        return True if e.errno == EBUSY else False if e.errno == EINVAL else None
    finally:
        os.close(context)
    return None
