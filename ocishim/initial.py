"""Whether this is the initial user namespace, where root is root."""

import posix

#: PROC_USER_INIT_INO (include/linux/proc_ns.h). uid_map tells less: a nested namespace may map every id, too.
_INODE = 0xEFFFFFFD


def is_here() -> bool:
    """Tell whether this process is in the initial user namespace; so on a kernel that has no others."""
    try:
        return bool(posix.stat("/proc/self/ns/user").st_ino == _INODE)
    except OSError:
        return True
