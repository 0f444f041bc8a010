"""`ocishim unshare`: a command as root of the user's own user namespace."""

import os
from collections.abc import Sequence

import click

from .. import command, idmap, userns
from ..probe import subordinate


@click.command(
    short_help="Run a command as root of your user namespace.",
    context_settings={"allow_interspersed_args": False},
    epilog="Exit status: the command's; 1 if there can be no such namespace; 2 usage; "
    "126 if the command does not start, 127 if there is none.",
)
@click.argument("words", metavar="[--] [COMMAND…]", nargs=-1, type=click.UNPROCESSED)
def unshare(words: tuple[str, ...]) -> int:
    """Run COMMAND, or the shell, as root of a user namespace that has all ids which are yours.

    Containers of an ordinary user leave files that belong to the user's subordinate ids (subuid(5)), and
    directories of mode 0: in this namespace they can be read, changed and deleted.

    \b
    ocishim unshare -- rm -rf upper work
    ocishim unshare -- chown -R 0:0 upper

    Root runs the command as it is.
    """
    if os.geteuid():
        found = idmap.choose({}, subordinate.look())
        userns.make(found.uids, found.gids)
    return run(words or (os.environ.get("SHELL") or "/bin/sh",))


def run(words: Sequence[str]) -> int:
    """Become a command. Gives the exit status that a shell has where there is none."""
    try:
        command.become(words)
    except command.NotRunError as e:
        click.echo(f"ocishim: {e}", err=True)
        return e.status
