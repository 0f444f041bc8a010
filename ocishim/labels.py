"""Which SELinux labels of layers the processes of a container may use, pure."""

#: Types that a container's processes may read, and those that they may write (container_selinux(8)).
_WRITABLE = ("container_file_t", "svirt_sandbox_file_t")
_READABLE = (*_WRITABLE, "container_ro_file_t", "container_share_t", "usr_t", "bin_t", "lib_t")


def is_usable(label: str, process: str, *, is_written: bool) -> bool:
    """Tell whether a process with this label may use a layer with that one, as far as labels alone tell.

    Only the domains of containers are known; any other one may be allowed what its policy says.
    """
    if _part(process, 2) not in ("container_t", "svirt_lxc_net_t"):
        return True
    if _part(label, 2) not in (_WRITABLE if is_written else _READABLE):
        return False
    return _categories(label) <= _categories(process)


def _part(label: str, number: int) -> str:
    parts = label.split(":", 3)
    return parts[number] if number < len(parts) else ""


def _categories(label: str) -> set[int]:
    """Read the categories of a level: s0, s0:c1,c2, s0-s0:c0.c1023."""
    found: set[int] = set()
    for word in _part(label, 3).rpartition("-")[2].partition(":")[2].split(","):
        first, _, last = word.replace("c", "").partition(".")
        if first.isdecimal():
            found.update(range(int(first), int(last if last.isdecimal() else first) + 1))
    return found
