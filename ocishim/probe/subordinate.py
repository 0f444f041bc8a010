"""The subordinate ids of a user: what /etc/subuid and /etc/subgid grant (subuid(5))."""

import os

from ..idmap import User

_DIRECTORIES = ("/usr/bin", "/usr/sbin", "/bin", "/usr/local/bin")
_PROGRAMS = ("newuidmap", "newgidmap")


def look() -> User:
    """Look up who runs ocishim, and which ids they may map."""
    uid, gid = os.geteuid(), os.getegid()
    lacking = [name for name in _PROGRAMS if not find(name)]
    if lacking:
        return User(uid, gid, without=f"{' and '.join(lacking)} not installed, Debian's package is uidmap")
    names = {str(uid), *_names(uid)}
    subuids, subgids = _granted("/etc/subuid", names), _granted("/etc/subgid", names)
    if not subuids and not subgids and _is_elsewhere():
        subuids, subgids = _asked([]), _asked(["-g"])
    empty = [path for path, found in (("/etc/subuid", subuids), ("/etc/subgid", subgids)) if not found]
    if empty:
        return User(uid, gid, without=f"no ids for uid {uid} in {' and '.join(empty)}")
    if _has_no_new_privileges():
        return User(uid, gid, without="newuidmap may not run: no_new_privs is set")
    return User(uid, gid, subuids, subgids)


def find(name: str) -> str:
    """Find newuidmap or newgidmap, "" if it is not there."""
    paths = (f"{directory}/{name}" for directory in _DIRECTORIES)
    return next((path for path in paths if os.access(path, os.X_OK)), "")


def _names(uid: int) -> list[str]:
    import pwd

    try:
        return [pwd.getpwuid(uid).pw_name]
    except KeyError:
        return []


def _granted(path: str, names: set[str]) -> list[tuple[int, int]]:
    return [
        (int(first), int(count))
        for line in _read(path).split("\n")
        for name, first, count in [(*line.split(":"), "", "", "")[:3]]
        if name in names and first.isdecimal() and count.strip().isdecimal() and int(count)
    ]


def _is_elsewhere() -> bool:
    """Tell whether subordinate ids come from a directory service (nsswitch.conf(5))."""
    return any(line.strip().startswith("subid:") for line in _read("/etc/nsswitch.conf").split("\n"))


def _asked(options: list[str]) -> list[tuple[int, int]]:
    """Ask getsubids(1) of the service: lines of `0: NAME FIRST COUNT`."""
    [name, *_] = [*_names(os.geteuid()), str(os.geteuid())]
    program = find("getsubids")
    if not program:
        return []
    read, write = os.pipe2(os.O_CLOEXEC)
    child = os.posix_spawn(
        program, [program, *options, name], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, write, 1)]
    )
    os.close(write)
    said = b""
    while chunk := os.read(read, 4096):
        said += chunk
    os.close(read)
    os.waitpid(child, 0)
    words = [line.split() for line in said.decode(errors="replace").split("\n")]
    return [(int(w[2]), int(w[3])) for w in words if len(w) == 4 and w[2].isdecimal() and w[3].isdecimal()]


def _has_no_new_privileges() -> bool:
    return "NoNewPrivs:\t1" in _read("/proc/self/status")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
