"""Work that may hang, as on a file system whose server is gone: a child does it, for a limited time."""

import marshal
import os
from errno import EAGAIN

from . import errors
from .errors import HostError, ShimError, SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Tell = Callable[[str], object]

#: Seconds that a file system has to answer; what is done there takes milliseconds.
LIMIT = 10.0


#: File systems that ask nobody who could be gone. What an overlay is made of is mounted, too.
_LOCAL = frozenset(
    b"bdev binfmt_misc bpf btrfs cgroup cgroup2 configfs cpuset debugfs devpts devtmpfs efivarfs erofs exfat "
    b"ext2 ext3 ext4 f2fs fusectl hugetlbfs iso9660 mqueue nsfs overlay proc pstore ramfs securityfs "
    b"selinuxfs squashfs sysfs tmpfs tracefs udf vfat xfs zfs".split()
)


def is_needless() -> bool:
    """Tell whether all that is mounted here is local: then a look need not be somebody else's."""
    try:
        file = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        text = b""
        while chunk := os.read(file, 1 << 20):
            text += chunk
    finally:
        os.close(file)
    kinds = {line.partition(b" - ")[2].partition(b" ")[0] for line in text.split(b"\n") if line}
    return kinds <= _LOCAL


def ask(work: "Callable[[Tell], Any]", limit: float = 0.0) -> "Any":
    """Call `work` in a child and give its result, which marshal must be able to carry.

    `work` is given a function to tell what it is about to do; where time runs out (LIMIT without one of its
    own) that is what hangs.
    Raises HostError then, and what `work` raised, if that is an OSError or a ShimError.
    """
    import select
    import time

    limit = limit or LIMIT
    try:
        out, out_in = os.pipe2(os.O_CLOEXEC)
    except OSError as e:
        raise HostError(
            "pipe", errors.words(e.errno or 0), "raise the limit of open files (ulimit -n)"
        ) from None
    child = fork()
    if child == 0:
        _answer(work, out_in)
    os.close(out_in)
    data = b""
    end = time.monotonic() + limit
    try:
        while select.select([out], [], [], max(end - time.monotonic(), 0))[0]:
            chunk = os.read(out, 65536)
            data += chunk
            # Not to the end of file: what the child has left hanging keeps the pipe open.
            if not chunk or _is_whole(data):
                os.waitpid(child, 0)
                return _result(data)
    finally:
        os.close(out)
    # Not waited for: what waits for a FUSE server does not end before the server answers.
    os.kill(child, 9)
    raise HostError(
        _told(data),
        f"no answer within {limit:.3g} s: its file system hangs",
        "look after its server, if it has one; umount -f ends the waiting",
        "OVL-LOW-28",
    )


def fork() -> int:
    """fork(2). Raises HostError where no more processes may be."""
    try:
        return os.fork()
    except OSError as e:
        why = errors.words(e.errno or 0)
        remedy = "raise pids.max of the control group, or the user's limit of processes (ulimit -u)"
        raise HostError("fork", why, remedy if e.errno == EAGAIN else "free some memory") from None


def _answer(work: "Callable[[Tell], Any]", out: int) -> None:
    try:
        found: tuple[object, ...] = ("ok", work(lambda text: _write(out, ("at", text))))
    except ShimError as e:
        found = ("shim", type(e).__name__, e.args, getattr(e, "errno", 0))
    except OSError as e:
        found = ("os", e.errno or 0, getattr(e, "syscall", ""), e.filename)
    except BaseException as e:
        found = ("bug", f"{type(e).__name__}: {e}")
    try:
        _write(out, found)
    finally:
        os._exit(0)


def _write(out: int, record: tuple[object, ...]) -> None:
    data = marshal.dumps(record)  # type: ignore[arg-type]  # what is in a result
    data = len(data).to_bytes(4, "little") + data
    while data:
        data = data[os.write(out, data) :]


def _records(data: bytes) -> "list[Any]":
    records = []
    while len(data) >= 4 + int.from_bytes(data[:4], "little"):
        length = 4 + int.from_bytes(data[:4], "little")
        records.append(marshal.loads(data[4:length]))  # noqa: S302 - from our own child
        data = data[length:]
        if not data:
            break
    return records


def _is_whole(data: bytes) -> bool:
    """Tell whether the last record is there, which is no `at`."""
    records = _records(data)
    return bool(records) and records[-1][0] != "at"


def _told(data: bytes) -> str:
    told = [record[1] for record in _records(data) if record[0] == "at"]
    return told[-1] if told else "a layer"


def _result(data: bytes) -> "Any":
    found = _records(data)
    kind, *values = found[-1] if found else ("bug", "it ended without a word")
    if kind == "ok":
        return values[0]
    if kind == "shim":
        name, arguments, errno = values
        error = getattr(errors, name)(*arguments)
        if errno:
            error.errno = errno
        raise error
    if kind == "os":
        raise SyscallError(int(values[0]), values[1] or "system call", values[2])
    raise RuntimeError(values[0] if kind == "bug" else f"a child ended while it was at {_told(data)}")
