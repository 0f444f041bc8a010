"""Whether this kernel has SELinux in use, and enforces it."""

import os


def is_enabled() -> bool:
    """Tell whether SELinux is on: its file system is registered only then (security/selinux/selinuxfs.c)."""
    try:
        file = os.open("/proc/filesystems", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return b"\tselinuxfs\n" in os.read(file, 65536)
    finally:
        os.close(file)


def is_enforcing() -> bool:
    """Tell whether SELinux forbids, and does not only log (selinux(8))."""
    try:
        with open("/sys/fs/selinux/enforce", encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return False
