"""A view: an overlay over a directory that only this process, and what it becomes or starts, will see."""

import os

from . import initial, linux, plan, prepare
from .choice import Choice
from .errors import HostError, ShimError, SyscallError, UsageError, words
from .overlay import OverlayMount
from .probe import here, layer
from .stage import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .settings import Settings
    from .step import Step
    from .workdir import Workdir

_WHERE = "view"
#: What the catalogue says of a bundle, in words of this command line.
_INSTEAD = (("upperdir=", "--upper "), ("lowerdir=", "--lower "), ("datadir=", "--lower "))
_REMEDIES = {
    "OVL-LOW-21": "correct the path, or make the directory",
    "OVL-OPT-13": "end the other one, or name another upper layer",
}


class Asked:
    """What a view is to be.

    `lower` and `data` are the lower layers, top → bottom, `upper` is "" for a throw-away one, or with
    `read_only` for none; `on` is where the overlay is seen, "" for on the lowest lower layer.
    """

    __slots__ = ("data", "lower", "on", "read_only", "upper")

    def __init__(
        self, lower: list[str], data: list[str], upper: str = "", on: str = "", read_only: bool = False
    ) -> None:
        self.lower = lower
        self.data = data
        self.upper = upper
        self.on = on
        self.read_only = read_only


class _View(OverlayMount):
    """An overlay that stands in no spec."""

    __slots__ = ()

    @property
    def where(self) -> str:
        return _WHERE


def make(asked: Asked, settings: "Settings", mode: str) -> None:
    """Mount a view in a private mount namespace; with this process, and its children, it ends.

    An ordinary user gets a user namespace for it, with the same ids inside as outside. Raises ShimError.
    """
    prepare.occupy_standard_descriptors()
    directory = _current()
    mount = _View(0, _target(asked), "overlay")
    mount.lower, mount.data = asked.lower, asked.data
    made = ""
    work: Workdir | None = None
    try:
        if asked.upper:
            from . import workdir

            made = _make_upper(asked)
            upper = layer.look("upperdir", asked.upper, directory or "/")
            if upper.errno:
                why = words(upper.errno)
                raise UsageError(f"{_WHERE}: --upper {upper.path}", why, "name a directory that is yours")
            work = workdir.make(upper, _WHERE)
            mount.upper, mount.work = upper.path, work.path
        _mount(mount, asked, settings, mode, directory, work)
    except ShimError as e:
        _undo(work, "" if e.page == "OVL-OPT-13" else made)  # who has it began after it was made
        raise _own_words(e, mount.upper if not asked.upper else "") from None
    except Exception:
        _undo(work, made)
        raise


def _mount(
    mount: _View, asked: Asked, settings: "Settings", mode: str, directory: str, work: "Workdir | None"
) -> None:
    _enter()
    this = here.look()
    stage = Stage((), settings, _WHERE, work.locks if work else (), this)
    if not asked.upper and not asked.read_only:
        mount.upper, mount.work = _throw_away(stage.path, os.path.join(directory, mount.lower[0]))
    [step] = plan.make([mount], prepare.look([mount], directory, this), this, mode)
    if work:
        empty = f"{stage.path}/empty"
        os.makedirs(empty, exist_ok=True)
        work.check_alone(empty, _WHERE)
        stage.check_free([step])
    _show(Choice(stage, settings), step, mount.destination, stage.path)
    if work:
        work.mounted_on(mount.destination)
    if directory and f"{directory}/".startswith(f"{mount.destination}/"):
        try:
            os.chdir(directory)
        except OSError as e:
            why = f"{words(e.errno or 0)} in the view"
            raise HostError(
                f"{_WHERE}: current directory {directory}", why, "change to another one"
            ) from None


def _enter() -> None:
    """Let this process mount: an ordinary user gets a user namespace, whose command has no more rights."""
    if initial.may_mount():
        return
    from . import idmap, userns
    from .probe import subordinate

    user = subordinate.look()
    userns.make(idmap.same(user.uid, user.subuids), idmap.same(user.gid, user.subgids))


def _show(choice: Choice, step: "Step", target: str, stage: str) -> None:
    """Mount the overlay, over its own lower layer maybe; what helped to do it is not seen any more."""
    mounted = choice.mount(step)
    choice.clear()
    try:
        linux.mount(mounted, target, "", linux.MS_BIND | linux.MS_REC)
        linux.umount(stage)
    except SyscallError as e:
        raise HostError(
            f"{_WHERE}: overlay on {target}", str(e), "name another directory with --on"
        ) from None


def _current() -> str:
    try:
        return os.getcwd()
    except OSError:  # removed, or not to be seen
        return ""


def _target(asked: Asked) -> str:
    """Give the real path of the directory that the view is on."""
    path = asked.on or [*asked.lower, *asked.data][-1]
    option = "--on" if asked.on else "--lower"
    try:
        real = os.path.realpath(path, strict=True)
    except OSError as e:
        raise UsageError(f"{_WHERE}: {option} {path}", words(e.errno or 0), "name a directory") from None
    if not os.path.isdir(real):
        raise UsageError(f"{_WHERE}: {option} {path}", "is not a directory", "name a directory")
    if real == "/":
        remedy = "name a directory with --on, and chroot to it"
        raise UsageError(f"{_WHERE}: {option} {path}", "nobody would see a mount over /", remedy)
    return real


def _make_upper(asked: Asked) -> str:
    """Make the upper layer where it is not there; give its path then."""
    if os.path.lexists(asked.upper):
        return ""
    try:
        os.mkdir(asked.upper)
    except OSError as e:
        remedy = "make the directory, or name another"
        raise UsageError(f"{_WHERE}: --upper {asked.upper}", words(e.errno or 0), remedy) from None
    _make_alike(asked.upper, asked.lower[0])
    return os.path.realpath(asked.upper)


def _throw_away(stage: str, like: str) -> tuple[str, str]:
    """Make an upperdir and a workdir that end with the mount namespace, in memory."""
    room = f"{stage}/throw-away"
    upper, work = f"{room}/upper", f"{room}/work"
    os.mkdir(room)
    linux.mount("tmpfs", room, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0700")
    os.mkdir(upper)
    os.mkdir(work)
    _make_alike(upper, like)
    return upper, work


def _make_alike(upper: str, lower: str) -> None:
    """Give a new upperdir what the view's directory should look like, as far as it may be given."""
    try:
        found = os.stat(lower)
        os.chmod(upper, found.st_mode & 0o7777)
        own = os.stat(upper)
        if (own.st_uid, own.st_gid) != (found.st_uid, found.st_gid):
            os.chown(upper, found.st_uid, found.st_gid)
    except OSError:  # it may not, or there is no such layer, which is said later
        pass


def _undo(work: "Workdir | None", made: str) -> None:
    if work:
        work.give_up()
    if made:
        try:
            os.rmdir(made)
        except OSError:
            pass


def _own_words(error: ShimError, throw_away: str) -> ShimError:
    """Name what was given on this command line in place of what a spec would have."""
    if throw_away and throw_away in error.why:
        error.why = error.why.replace(f"upperdir={throw_away}", "the throw-away upper layer, a tmpfs")
        error.remedy = "name a directory on disk with --upper"
    for written, said in _INSTEAD:
        error.why = error.why.replace(written, said)
    error.remedy = _REMEDIES.get(error.page, error.remedy)
    return error
