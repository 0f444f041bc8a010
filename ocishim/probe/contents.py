"""What a layer holds and lies on that only a report has the time to look for: hard links, UUID, label."""

import fcntl
import os
import stat
import time

from .. import filesystems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .layer import Layer

#: FS_IOC_GETFSUUID: a byte of length and 16 of UUID (include/uapi/linux/fs.h; kernel 6.9).
_GET_UUID = 0x80111500


def hard_links(layer: "Layer", seconds: float) -> int:
    """Count the files with several names in a layer, as far as the time goes.

    A name outside of the layer does not count: an overlay shows no other.
    """
    if layer.magic in (*filesystems.REMOTE, *filesystems.VIEWS, *filesystems.FORBIDDEN):
        return 0
    end = time.monotonic() + seconds
    once: set[int] = set()
    several: set[int] = set()
    pending = [layer.path]
    while pending:
        try:
            entries = os.scandir(pending.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                if time.monotonic() > end:
                    return len(several)
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if found.st_dev != layer.device:
                    continue
                if stat.S_ISDIR(found.st_mode):
                    pending.append(entry.path)
                elif found.st_nlink > 1:
                    (several if found.st_ino in once else once).add(found.st_ino)
    return len(several)


def uuid(path: str) -> str:
    """Give the UUID of a directory's file system, "" where the kernel does not tell or there is none."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(file, _GET_UUID, bytes(17))[1:].hex()
    except OSError:
        return ""
    finally:
        os.close(file)


def label(path: str) -> str:
    """Give SELinux' label of a directory, "" where it has none."""
    try:
        return os.getxattr(path, "security.selinux").rstrip(b"\0").decode(errors="replace")
    except OSError:
        return ""
