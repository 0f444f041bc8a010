"""`ocishim diff`: what an upper layer changes."""

import json
import os
import signal
import sys
from typing import Any

import click

from .. import diff as changes
from .. import initial
from ..errors import HostError, SpecError, printable, words
from .lower import option as lower_option
from .lower import split

_LETTERS = {
    changes.ADDED: "A",
    changes.CHANGED: "C",
    changes.DELETED: "D",
    changes.RENAMED: "R",
    changes.UNKNOWN: "?",
}


def _lowers(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[str] | None:
    found = [layer for _, layers, data in split(values) for layer in (*layers, *data)]
    return found if values else None


@click.command(
    short_help="List what an upper layer adds, changes and deletes.",
    epilog="Exit status: 0; 1 if something could not be read; 2 usage.",
)
@click.argument("upper", type=click.Path(file_okay=False))
@lower_option(_lowers)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="For people, or for programs (schemas/diff.schema.json).",
)
def diff(upper: str, lower: list[str] | None, form: str) -> None:
    """List what UPPER, the upper layer of an overlay, changes in the lower layers.

    \b
    A  added
    C  changed: the upper layer has a file of its own in place of a lower one
    D  deleted, or hidden by an opaque directory; these come last
    R  renamed, of directories mounted with redirect_dir=on: OLD -> NEW
    ?  not to be told, and why

    Paths are those in the overlay. A directory in both is listed only if its mode, owner or xattrs differ.

    Without --lower, what was copied up is told from what was added by the mark that overlays leave on it, and
    what opaque directories hide is not listed. Where there can be no such mark (symbolic links in a user
    namespace, files with several names, a copy of an upper layer) a changed file is taken for an added one.

    An ordinary user's files of subordinate ids are read as by `ocishim unshare`.
    """
    from ..probe import changes as walk

    upper = _directory("UPPER", upper)
    found = None if lower is None else [_directory("--lower", path) for path in lower]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as of any program that lists, for `| head`
    sees_trusted = initial.is_here() and initial.may_mount()
    _become_root()
    is_whole = True
    out = _Json(upper, found) if form == "json" else _Text()
    for change in walk.walk(upper, found, sees_trusted):
        is_whole &= change.what != changes.UNKNOWN
        out.write(change)
    out.end()
    sys.stdout.flush()
    if not is_whole:
        raise click.exceptions.Exit(1)


def _directory(what: str, path: str) -> str:
    try:
        file = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        raise click.UsageError(f"{what} {path}: {words(e.errno or 0)}") from None
    os.close(file)
    return os.path.realpath(path)


def _become_root() -> None:
    """Let an ordinary user read what belongs to the user's subordinate ids, where that is possible."""
    if not os.geteuid():
        return
    from .. import idmap, userns
    from ..probe import subordinate

    try:
        found = idmap.choose({}, subordinate.look())
        userns.make(found.uids, found.gids)
    except (HostError, SpecError):
        pass  # what cannot be read is named


class _Text:
    def write(self, change: changes.Change) -> None:
        path = printable(change.path) + ("/" if change.kind == "directory" else "")
        old = f"{printable(change.old)} -> " if change.old else ""
        why = f"  ({change.why})" if change.why else ""
        sys.stdout.write(f"{_LETTERS[change.what]}  {old}{path}{why}\n")

    def end(self) -> None:
        pass


class _Json:
    """One document, written as it comes."""

    def __init__(self, upper: str, lower: list[str] | None) -> None:
        self._before = "\n  "
        sys.stdout.write(f'{{"upper": {json.dumps(upper)}, "lower": {json.dumps(lower)}, "changes": [')

    def write(self, change: changes.Change) -> None:
        entry: dict[str, Any] = {"change": change.what, "path": change.path, "type": change.kind}
        if change.old:
            entry["from"] = change.old
        if change.why:
            entry["why"] = change.why
        sys.stdout.write(self._before + json.dumps(entry))
        self._before = ",\n  "

    def end(self) -> None:
        sys.stdout.write("\n]}\n")
