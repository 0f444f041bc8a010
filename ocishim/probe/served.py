"""An overlay by fuse-overlayfs, started and used on scratch layers below the current directory (l1, l2, m).

The driver's server outlives ocishim; this one ends with it, and sees its mount, so it is started here.
"""

import ctypes
import os
import signal  # noqa: TID253 - nothing hot loads this

from .. import linux
from ..errors import SyscallError
from . import scratch
from .facts import errno_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds for the server and all operations; they take some 20 ms.
PATIENCE = 2.0
_PR_SET_PDEATHSIG = 1
_LONGEST = 300


def overlay(program: str) -> tuple[list[str], dict[str, str]]:
    """Mount, start the server, do what containers do; give an attempt's fields, and the operations."""
    scratch.fill()
    for directory in ("fuse-upper", "fuse-work"):
        os.mkdir(directory)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    errors, errors_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    server = 0
    try:
        data = f"fd={device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
        linux.mount("ocishim", "m", "fuse.fuse-overlayfs", 0, f"{data},default_permissions,allow_other")
        server = _start(program, device, errors_in)
        os.close(device)  # the server's copy alone keeps the connection up
        device = -1
        found = _ask()
    except SyscallError as e:
        return scratch.no(e), {}
    finally:
        if server:
            _end(server)
        said = _said(errors)
        for file in (errors, errors_in, device):
            if file >= 0:
                os.close(file)
    first = found.pop("list", "ETIMEDOUT")
    if first:
        late = f"no answer within {PATIENCE:.3g} s"
        return ["no", "the first request", first, said or (late if first == "ETIMEDOUT" else "")], {}
    return ["yes"], found


def _start(program: str, device: int, errors: int) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        null = os.open("/dev/null", os.O_RDWR)
        for old, new in ((null, 0), (null, 1), (errors, 2)):
            os.dup2(old, new)
        os.set_inheritable(device, True)
        layers = "lowerdir=l1:l2,upperdir=fuse-upper,workdir=fuse-work"
        words = [program, "-f", "-o", "fsname=ocishim:doctor", "-o", layers, f"/dev/fd/{device}"]
        os.execve(program, words, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    except OSError as e:
        os.write(2, f"{program}: {e.strerror}".encode(errors="replace"))
    finally:
        os._exit(1)


def _ask() -> dict[str, str]:
    """Use the overlay, in a child, and unmount it; give the errno of what was done, by its name.

    Once the server has read a request not even SIGKILL ends the wait for the answer, only the end of the
    connection does: after PATIENCE the mount goes first, then the child.
    """
    import select
    import time

    out, out_in = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            for name, errno in _operate():
                os.write(out_in, f"{name} {errno}\n".encode())
        finally:
            os._exit(0)
    os.close(out_in)
    end = time.monotonic() + PATIENCE
    text = b""
    while select.select([out], [], [], max(end - time.monotonic(), 0))[0] and (part := os.read(out, 4096)):
        text += part
    os.close(out)
    linux.umount("m")
    os.kill(child, signal.SIGKILL)  # it is ours until it is waited for
    os.waitpid(child, 0)
    found = dict(line.split(" ") for line in text.decode().splitlines())
    return found if found.get("list") else dict.fromkeys(("list", *scratch.OPERATIONS), "ETIMEDOUT") | found


def _operate() -> "Iterator[tuple[str, str]]":
    try:
        os.listdir("m")
    except OSError as e:
        yield "list", errno_name(e)
        return
    yield "list", ""
    yield from scratch.operate()


def _end(server: int) -> None:
    """Kill the server and what a wrapper script around it has started."""
    for kill in (os.killpg, os.kill):  # it may not have come to setsid(2) yet
        try:
            kill(server, signal.SIGKILL)
        except ProcessLookupError:
            pass
    os.waitpid(server, 0)


def _said(errors: int) -> str:
    """Give what the server complained about, in one line."""
    try:
        text = os.read(errors, _LONGEST).decode(errors="replace")
    except BlockingIOError:
        return ""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
