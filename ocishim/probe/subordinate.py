"""The subordinate ids of a user: what subuid(5) and subgid(5) grant, and newuidmap would map."""

import os

from ..idmap import User, ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DIRECTORIES = ("/usr/bin", "/usr/sbin", "/bin", "/usr/local/bin")
_PROGRAMS = ("newuidmap", "newgidmap")
#: 4294967295 is no id: it stands for "leave as it is".
_IDS = 0xFFFFFFFF


def look() -> User:
    """Look up who runs ocishim, and which ids they may map."""
    uid, gid = os.geteuid(), os.getegid()
    lacking = [name for name in _PROGRAMS if not find(name)]
    if lacking:
        return User(uid, gid, without=f"{' and '.join(lacking)} not installed, Debian's package is uidmap")
    names = {str(uid), *_names(uid)}
    subuids, subgids = granted(_read("/etc/subuid"), names), granted(_read("/etc/subgid"), names)
    if not subuids and not subgids and _is_elsewhere():
        subuids, subgids = _asked([]), _asked(["-g"])
    empty = [path for path, found in (("/etc/subuid", subuids), ("/etc/subgid", subgids)) if not found]
    if empty:
        return User(uid, gid, without=f"no ids for uid {uid} in {' and '.join(empty)}")
    why = _hindrance(uid)
    if why:
        return User(uid, gid, without=why)
    subuids = _mapped(distinct(subuids), _read("/proc/self/uid_map"))
    subgids = _mapped(distinct(subgids), _read("/proc/self/gid_map"))
    if not subuids or not subgids:
        return User(uid, gid, without="the user's subordinate ids are not mapped in this user namespace")
    return User(uid, gid, subuids, subgids)


def distinct(granted: "Sequence[tuple[int, int]]") -> list[tuple[int, int]]:
    """Give the same ids, each once, as the kernel wants them: two entries may grant the same ones."""
    found: list[tuple[int, int]] = []
    for first, count in granted:
        pieces = [(first, first + count)]
        for taken, many in found:
            pieces = [each for piece in pieces for each in _outside(piece, taken, taken + many)]
        found += [(start, end - start) for start, end in pieces]
    return found


def _outside(piece: tuple[int, int], start: int, end: int) -> "Iterator[tuple[int, int]]":
    for each in ((piece[0], min(piece[1], start)), (max(piece[0], end), piece[1])):
        if each[0] < each[1]:
            yield each


def _mapped(granted: "Sequence[tuple[int, int]]", table: str) -> list[tuple[int, int]]:
    """Leave the ids that this user namespace has: what it does not have it cannot give to another."""
    found = []
    for first, count in granted:
        for inside, _, many in ranges(table):
            start, end = max(first, inside), min(first + count, inside + many)
            if start < end:
                found.append((start, end - start))
    return found


def _hindrance(uid: int) -> str:
    """Say why newuidmap and newgidmap would refuse this process, "" if they would not."""
    if _has_no_new_privileges():
        return "newuidmap may not run: no_new_privs is set"
    if not _names(uid):
        return f"uid {uid} has no name, which newuidmap asks for"
    weak = [name for name in _PROGRAMS if not _may_map(find(name))]
    return f"{' and '.join(weak)} without set-user-ID root here" if weak else ""


def _may_map(program: str) -> bool:
    """Tell whether a program gets the right to map ids: by its owner root, or by the file's capabilities."""
    found = os.stat(program)
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        return False
    if found.st_uid == 0 and found.st_mode & 0o4000:
        return True
    try:
        return bool(os.getxattr(program, "security.capability"))
    except OSError:
        return False


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


def granted(text: str, names: set[str]) -> list[tuple[int, int]]:
    """Give the ranges that lines of subuid(5) grant to these names; other lines count for nothing."""
    return [
        (_number(first), _number(count))
        for line in text.split("\n")
        for name, first, count in [(*line.split(":"), "", "", "")[:3]]
        if name in names and _number(first) >= 0 and 0 < _number(count) <= _IDS - _number(first)
    ]


def _number(word: str) -> int:
    """Read a number that newuidmap reads alike, -1 for none: no blanks, no sign, no octal."""
    is_plain = word.isascii() and word.isdigit() and (word == "0" or word[0] != "0")
    return int(word) if is_plain and len(word) <= len(str(_IDS)) else -1


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
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError:
        return ""
