"""Owners of files that have no id in this user namespace: such files can be read and deleted, not changed."""

import os

#: As whom they show (proc(5), /proc/sys/kernel/overflowuid); a namespace may map somebody to it, too.
_NOBODY = 65534
#: So many entries are looked at; the first are as good as others to tell whose layer it is.
_ENTRIES = 300


def unmapped(layer: str) -> str:
    """Find something in a layer whose user or group is not mapped here, its root before what is inside.

    Gives its path, "" where the first entries have none. Kernel: make_kuid(9) of the owner fails at copy-up.
    """
    waiting, left = [layer], _ENTRIES
    found = os.stat(layer)
    if _NOBODY in (found.st_uid, found.st_gid):
        return layer
    while waiting and left:
        try:
            with os.scandir(waiting.pop(0)) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if _NOBODY in (found.st_uid, found.st_gid):
                        return entry.path
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    left -= 1
                    if not left:
                        break
        except OSError:  # removed meanwhile, or not ours to read
            continue
    return ""
