"""`ocishim view`: a command that sees an overlay over a directory."""

import os

import click

from .. import settings
from .. import view as views
from .lower import option as lower_option
from .lower import split
from .unshare import run


def _layers(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[list[str], list[str]]:
    found: list[str] = []
    data: list[str] = []
    for value, layers, more in split(values):
        if data:
            raise click.UsageError(f"--lower {value}: a lower layer cannot follow a data-only one")
        found += layers
        data += more
    return found, data


@click.command(
    short_help="Run a command that sees an overlay over a directory.",
    options_metavar="--lower DIR[:DIR…] [OPTIONS]",
    context_settings={"allow_interspersed_args": False},
    epilog="Exit status: the command's; 1 if there can be no such view; 2 usage; "
    "126 if the command does not start, 127 if there is none.",
)
@lower_option(_layers, required=True)
@click.option(
    "--upper",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Where writes go; made if it is not there. Left out: to memory, and they are thrown away.",
)
@click.option("--read-only", is_flag=True, help="No upper layer: writes are refused.")
@click.option(
    "--on",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Where the overlay is seen. Left out: on the lowest lower layer.",
)
@click.option("--overlay", "mode", type=click.Choice(settings.MODES), help="Who mounts the overlay.")
@click.argument("words", metavar="[--] COMMAND…", nargs=-1, required=True, type=click.UNPROCESSED)
def view(
    lower: tuple[list[str], list[str]],
    upper: str | None,
    read_only: bool,
    on: str | None,
    mode: str | None,
    words: tuple[str, ...],
) -> int:
    """Run COMMAND so that it, and what it starts, sees an overlay over a directory; nobody else does.

    \b
    ocishim view --lower src --upper mine -- make -C src
    ocishim view --lower src -- sh -c 'rm -rf src/*; ls src'
    ocishim view --lower fixes:src --upper mine -- bash

    An ordinary user needs no rights for it: the command runs with the user's own ids, in a user namespace
    where no other ids are mapped but the user's subordinate ones. Files of others are then shown as nobody's,
    and programs like sudo get no rights. As root nothing but the mount is different.

    The overlay's workdir is made beside the upper layer, and removed when the last process of the view has
    ended. Two views, or a view and a container, cannot have one upper layer at the same time.
    """
    for value, option in ((upper, "--upper"), (on, "--on")):
        if value == "":
            raise click.UsageError(f"{option}: no directory named")
    if read_only and upper:
        raise click.UsageError("--read-only: a view with --upper can be written to; leave out one of the two")
    environ = {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}
    found = settings.load(environ)
    views.make(views.Asked(*lower, upper or "", on or "", read_only), found, mode or found.overlay)
    return run(words)
