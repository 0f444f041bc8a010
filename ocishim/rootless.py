"""The commands of who may not mount: their user namespace, their state directory, what runsc needs."""

import posix

from . import initial
from .errors import HostError, SpecError, UsageError, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .argv import Invocation
    from .bundle import Bundle
    from .idmap import Namespace
    from .runtime import LowLevelRuntime

#: Commands about one container that is there already.
_LATER = frozenset("checkpoint delete events exec kill pause ps resume start state update".split())


def enter(
    inv: "Invocation", runtime: "LowLevelRuntime", found: "Bundle", *, makes: bool = True
) -> "Namespace":
    """Become root of a user namespace that the bundle's container can be made in.

    Gives what that changes; `makes` tells that a container will be made. Raises ShimError if there can be no
    such namespace.
    """
    from . import idmap, refusal, userns
    from .probe import subordinate

    without = refusal.without_proc()
    if without:
        raise without
    root = _state(inv, runtime.kind, posix.environ, makes=makes)
    chosen = idmap.choose(found.spec, subordinate.look(), fills_in=runtime.kind == "crun")
    if chosen.path:
        _join(chosen.path)
        with open("/proc/self/gid_map", encoding="ascii") as table:
            chosen.edits |= idmap.terminals(found.spec, idmap.ranges(table.read()))
    else:
        userns.make(chosen.uids, chosen.gids)
    if not inv.root:  # as root the runtime would look elsewhere
        inv.put_before_command("--root", root)
    return chosen


def go_on(inv: "Invocation", runtime: "LowLevelRuntime", environ: "Mapping[bytes, bytes]") -> None:
    """Let a user's command about a container run where the container was made.

    Raises ShimError if that is not the user's.
    """
    if not inv.root and not environ.get(b"XDG_RUNTIME_DIR") and not posix.access("/run", posix.W_OK):
        inv.root = _state(inv, runtime.kind, environ)
        inv.put_before_command("--root", inv.root)
    if inv.command not in _LATER or inv.id_at < 0 or inv.help:
        return
    from .probe import state

    root = _state(inv, runtime.kind, environ)
    made = state.look(root, runtime.kind, inv.words[inv.id_at])
    if not made:
        return
    from . import userns

    namespace = made.namespace()
    if namespace >= 0:
        userns.join(namespace)
    else:  # its processes are gone: what is left to do is done as the same root
        from . import idmap
        from .probe import subordinate

        chosen = idmap.choose({}, subordinate.look())
        userns.make(chosen.uids, chosen.gids)
    if not inv.root:
        inv.put_before_command("--root", root)
    if runtime.kind == "runsc":
        from . import gvisor

        inv.put_before_command(*gvisor.rootless_flags(inv, runtime.settings.args, {}))


def _join(path: str) -> None:
    from . import userns

    remedy = "name a user namespace that is yours"
    try:
        # A FIFO would have nobody at its other end.
        file = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY)
    except OSError as e:
        raise SpecError("linux.namespaces", f"{path}: {words(e.errno or 0)}", remedy) from None
    except ValueError:  # NUL, or half of a surrogate pair
        raise SpecError("linux.namespaces", f"{path}: no file can have this name", remedy) from None
    try:
        why = userns.why_not(file)
        if why:
            raise SpecError("linux.namespaces", f"{path} {why}", remedy)
        userns.join(file)
    except OSError as e:
        why = f"cannot be joined as its root: {words(e.errno or 0)}"
        raise SpecError("linux.namespaces", f"{path} {why}", remedy) from None
    finally:
        posix.close(file)


def _state(inv: "Invocation", kind: str, environ: "Mapping[bytes, bytes]", *, makes: bool = True) -> str:
    """Give the state directory: --root, else the one that the runtime has for a user; made if it may be."""
    if inv.root:
        return inv.root
    if not posix.geteuid() and initial.is_here():  # root who may not mount
        return f"/run/{kind}"
    directory = environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    if directory:
        _check_mine(directory)
        return f"{directory}/{kind}"
    me = _me()
    if _is_mine(f"/run/user/{me}"):
        return f"/run/user/{me}/{kind}"
    own = f"/tmp/ocishim-{me}"  # noqa: S108 - its owner and mode are looked at
    try:
        posix.mkdir(own, 0o700)
        if not makes:
            posix.rmdir(own)
            return f"{own}/{kind}"
    except FileExistsError:
        pass
    except OSError as e:
        raise HostError(f"state directory {own}", words(e.errno or 0), "set XDG_RUNTIME_DIR") from None
    if not _is_mine(own):
        raise UsageError(
            f"state directory {own}", "others may have put something there", "set XDG_RUNTIME_DIR"
        )
    return f"{own}/{kind}"


def _check_mine(directory: str) -> None:
    """Refuse an XDG_RUNTIME_DIR of another user, as su(1) without -l leaves it."""
    try:
        owner = posix.stat(directory).st_uid
    except OSError as e:
        if e.errno != 13:
            return  # the runtime makes it, or says why it cannot
        owner = -1
    if owner != posix.geteuid() and not posix.access(directory, posix.W_OK | posix.X_OK):
        raise UsageError(
            f"XDG_RUNTIME_DIR={directory}", "it is another user's", "unset it, or name a directory of yours"
        )


def _me() -> int:
    """Give the user's id, as it is outside of a user namespace."""
    me = posix.geteuid()
    if initial.is_here():
        return me
    with open("/proc/self/uid_map", encoding="ascii") as table:
        ranges = [[int(word) for word in line.split()] for line in table]
    return next((outside + me - inside for inside, outside, n in ranges if inside <= me < inside + n), me)


def _is_mine(directory: str) -> bool:
    try:
        found = posix.lstat(directory)
    except OSError:
        return False
    return (
        found.st_mode & 0o170000 == 0o040000 and found.st_uid == posix.geteuid() and not found.st_mode & 0o022
    )
