"""Whether root is root here: the initial user namespace, the capability to mount."""

import posix

#: PROC_USER_INIT_INO (include/linux/proc_ns.h). uid_map tells less: a nested namespace may map every id, too.
_INODE = 0xEFFFFFFD
#: CAP_SYS_ADMIN's bit in CapEff.
_SYS_ADMIN = 1 << 21


def is_here() -> bool:
    """Tell whether this process is in the initial user namespace; so on a kernel that has no others."""
    try:
        return bool(posix.stat("/proc/self/ns/user").st_ino == _INODE)
    except OSError:
        return True


def may_mount() -> bool:
    """Tell whether this process may mount: root with CAP_SYS_ADMIN (capabilities(7)) or unknown rights."""
    if posix.geteuid():
        return False
    found = rights()
    return not found or int(found, 16) & _SYS_ADMIN != 0


def rights() -> str:
    """Give this process's effective capabilities, as proc(5) shows them."""
    try:
        file = posix.open("/proc/self/status", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    try:
        text = posix.read(file, 4096).decode(errors="replace")
    finally:
        posix.close(file)
    return text.partition("CapEff:")[2].partition("\n")[0].strip()
