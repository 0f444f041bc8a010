"""What this kernel's overlayfs and user namespaces do, tried out on a tmpfs that nobody else sees.

All of it happens in a child with a mount namespace of its own; with the child everything is gone.
"""

import ctypes
import json  # noqa: TID253 - nothing hot loads this
import os
from errno import EINVAL, ENODEV

from .. import linux
from ..errors import SyscallError
from ..namespaces import STAGE
from . import idmapped, scratch, served
from .facts import Attempt, Trial, errno_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Seconds; the whole takes some 70 ms, but 2 s (served.PATIENCE) more where fuse-overlayfs hangs.
PATIENCE = 8
#: Who tries for an ordinary user where ocishim is root: nobody.
ORDINARY = 65534
_PR_SET_DUMPABLE = 4

_UNKNOWN = Attempt("unknown")
_YES = Attempt("yes")


class Result:
    """What was found; `run` gives it."""

    def __init__(self) -> None:
        self.new_mount_api = _UNKNOWN
        self.trusted_xattr: bool | None = None
        self.user_xattr: bool | None = None
        self.fuse = _UNKNOWN
        self.served = _UNKNOWN
        self.operations: dict[str, str] = {}
        self.tried = ""
        self.options: dict[str, Attempt] = {}
        self.idmapped = _UNKNOWN
        self.trials: tuple[Trial, ...] = ()
        self.tried_as = os.geteuid()
        self.make = _UNKNOWN


def run(*, is_initial: bool, program: str, show: "Callable[[str], None]") -> Result:
    """Try everything. In the initial user namespace root tries for an ordinary user as nobody.

    `program` is fuse-overlayfs, if it is there; `show` gets what is being tried.
    """
    result = Result()
    ordinary = ORDINARY if is_initial and os.geteuid() == 0 else 0
    result.tried_as = ordinary or result.tried_as
    found, died = _in_child(lambda: _here(ordinary, program, show))
    if found is None:
        result.make = died
        return result
    inside = found["userns"]
    # fsopen(2) wants a privilege that an ordinary user has in there only.
    api = inside.get("new_mount_api") if found["new_mount_api"][0] == "no" else None
    result.new_mount_api = _attempt(api or found["new_mount_api"])
    result.trusted_xattr = found.get("trusted_xattr")
    result.user_xattr = found.get("user_xattr", inside.get("user_xattr"))
    fuse = found if "fuse" in found else inside
    result.fuse = _attempt(fuse.get("fuse"))
    result.served, result.operations = _attempt(fuse.get("served")), fuse.get("operations", {})
    result.make = _attempt(found.get("make"))
    result.trials = tuple(
        Trial(each["where"], each["userxattr"], _attempt(each["mount"]), each["operations"])
        for each in (*found["trials"], *inside.get("trials", ()))
    )
    for tried, place in (("here", found), ("userns", inside)):
        if "options" in place and not result.tried:
            result.tried = tried
            result.options = {name: _attempt(each) for name, each in place["options"].items()}
            result.idmapped = _attempt(place.get("idmapped"))
    return result


def _attempt(found: "Any") -> Attempt:
    return Attempt(*found) if found else _UNKNOWN


def _in_child(function: "Callable[[], Any]") -> "tuple[Any, Attempt]":
    """Call a function in a child; give what it gave, or None and how the child ended."""
    import select
    import signal

    out, out_in = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(PATIENCE)
            data = json.dumps(function()).encode()
            while data:
                data = data[os.write(out_in, data) :]
        except Exception as e:
            os.write(out_in, json.dumps(f"{type(e).__name__}: {e}").encode())
        finally:
            os._exit(0)
    os.close(out_in)
    text = b""
    try:
        while select.select([out], [], [], PATIENCE + 1)[0] and (chunk := os.read(out, 65536)):
            text += chunk
    finally:
        os.close(out)
        os.kill(child, signal.SIGKILL)  # it is ours until it is waited for
        os.waitpid(child, 0)
    found = json.loads(text) if text else "no answer in time"
    if isinstance(found, str):
        return None, Attempt("unknown", said=found)
    return found, _UNKNOWN


def _here(ordinary: int, program: str, show: "Callable[[str], None]") -> "dict[str, Any]":
    """Try as the process is, then in a new user namespace; in a mount namespace of its own if it may."""
    found: dict[str, Any] = {"new_mount_api": _fsopen(), "trials": []}
    os.chdir(os.path.dirname(STAGE))
    name = os.path.basename(STAGE)
    try:
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("", "/", "", linux.MS_REC | linux.MS_SLAVE)
        _tmpfs(name)
    except SyscallError as e:
        refused = scratch.no(e)
        if (e.syscall, e.errno, e.path) == ("mount", EINVAL, "/"):
            refused.append("/ is not a mount point, as in a chroot")
        found["trials"] = [scratch.trial("here", value, refused, {}) for value in (False, True)]
    else:
        found["trusted_xattr"] = _set_xattr("trusted.overlay.ocishim")
        found["user_xattr"] = _set_xattr("user.ocishim")
        show("trying overlays by the kernel")
        found["options"] = scratch.options()
        found["idmapped"] = idmapped.overlay()
        found["trials"] = [scratch.whole("here", value) for value in (False, True)]
        found |= _by_fuse(program, show)
        name = "namespace"
        os.mkdir(name)
    show("trying overlays in a user namespace")
    inside, died = _in_child(lambda: _in_user_namespace(name, ordinary, program, show))
    found["make"] = list(_fields(died)) if inside is None else inside.pop("make")
    found["userns"] = inside or {}
    return found


def _by_fuse(program: str, show: "Callable[[str], None]") -> "dict[str, Any]":
    found: dict[str, object] = {"fuse": _fuse()}
    if program and found["fuse"] == ["yes"]:
        show("trying an overlay by fuse-overlayfs")
        found["served"], found["operations"] = served.overlay(program)
    return found


def _in_user_namespace(
    mount_point: str, ordinary: int, program: str, show: "Callable[[str], None]"
) -> "dict[str, Any]":
    step = "setuid"
    try:
        if ordinary:
            os.setgroups([])
            os.setresgid(ordinary, ordinary, ordinary)
            os.setresuid(ordinary, ordinary, ordinary)
            # Without it /proc/self/uid_map stays root's.
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        uid, gid = os.geteuid(), os.getegid()
        step = "unshare(CLONE_NEWUSER)"
        linux.unshare(linux.CLONE_NEWUSER)
        for step, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            scratch.write(f"/proc/self/{step}", text)
        step = "unshare(CLONE_NEWNS)"
        linux.unshare(linux.CLONE_NEWNS)
        step = "mount tmpfs"
        _tmpfs(mount_point)
    except OSError as e:
        return {"make": ["no", step, errno_name(e)]}
    has_options = mount_point != os.path.basename(STAGE)
    return {
        "make": ["yes"],
        "new_mount_api": _fsopen(),
        "user_xattr": _set_xattr("user.ocishim"),
        # Where they have been tried as root they are not refused a second time into the kernel's log.
        **({} if has_options else {"options": scratch.options(), "idmapped": idmapped.overlay()}),
        "trials": [scratch.whole("userns", value) for value in (False, True)],
        **({} if has_options else _by_fuse(program, show)),
    }


def _tmpfs(name: str) -> None:
    linux.mount(
        "tmpfs", name, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC, "mode=0755,size=8m"
    )
    os.chdir(name)
    for directory in ("l1", "l2", "m", "fuse"):
        os.mkdir(directory)


def _fsopen() -> list[str]:
    try:
        os.close(linux.fsopen("overlay"))
    except SyscallError as e:
        # ENODEV is no word about the call, and EPERM may be one about the user.
        return ["yes"] if e.errno == ENODEV else scratch.no(e)
    return ["yes"]


def _fuse() -> list[str]:
    """Mount FUSE without a server: the kernel asks one for nothing before somebody looks."""
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return list(_fields(_UNKNOWN))
    try:
        data = f"fd={device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
        linux.mount("ocishim", "fuse", "fuse.fuse-overlayfs", 0, data)
        linux.umount("fuse")
    except SyscallError as e:
        return scratch.no(e)
    finally:
        os.close(device)
    return ["yes"]


def _set_xattr(name: str) -> bool:
    try:
        os.setxattr("m", name, b"y")
    except OSError:
        return False
    return True


def _fields(attempt: Attempt) -> tuple[str, ...]:
    return (attempt.result, attempt.step, attempt.errno, attempt.said)
