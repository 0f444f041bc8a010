"""What `ocishim --help` and `ocishim run --help` say."""

import os
import sys

import click

from .. import __version__
from ..errors import printable
from ..settings import MODES, PATH
from . import terminal
from .completion import COMPLETE, OCI, completion, of_the_runtime, teach
from .diff import diff
from .doctor import doctor
from .explain import explain
from .plan import plan
from .unshare import unshare
from .view import view

_EPILOG = f"""\
Every other command of an OCI runtime (create, start, state, kill, delete, exec, …) goes to the low-level
runtime as it is typed; create, run and restore prepare the bundle's overlays first.

\b
The low-level runtime is the first of these that is given:
  --runtime NAME|PATH
  OCISHIM_RUNTIME
  the name ocishim is called by: ocishim-runsc, a link to ocishim
  the first installed one of the settings, {PATH}
  or OCISHIM_CONFIG; without settings runc, crun, runsc
"""


class _Commands(click.Group):
    """The commands, the most used one first."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = list(self.commands)
        return [*own, *(name for name in OCI if name not in own)] if ctx.resilient_parsing else own

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give a command, and to a shell that completes one also those that a runtime gets."""
        found = super().get_command(ctx, cmd_name)
        is_asked = not found and ctx.resilient_parsing and cmd_name in OCI
        return of_the_runtime(cmd_name) if is_asked else found


@click.group(
    cls=_Commands,
    short_help="Overlay mounts that work under any OCI runtime.",
    epilog=_EPILOG,
    options_metavar="[--runtime NAME|PATH] [--overlay MODE]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s version %(version)s, then the runtime's own version")
@click.option(
    "--runtime",
    metavar="NAME|PATH",
    expose_value=False,
    help="The low-level runtime: runc, crun, runsc, or a path.",
)
@click.option(
    "--overlay",
    type=click.Choice(MODES),
    expose_value=False,
    help="Mount overlays by the kernel, by fuse-overlayfs, or by the first of them that can (auto).",
)
def ocishim() -> None:
    """Overlay mounts that work under runc, crun and runsc, or a container that does not start and says why.

    \b
    Run a bundle:             ocishim run --runtime runsc BUNDLE
    In place of a runtime:    ocishim-runsc create --bundle BUNDLE ID  (a link to ocishim)
    """


@ocishim.command(
    options_metavar="[OPTIONS]",
    epilog="Any other option of the runtime's own run may be given as well: --detach, --pid-file FILE, …",
)
@click.argument("bundle", metavar="BUNDLE | [--bundle BUNDLE] ID")
@click.option(
    "-b", "--bundle", "directory", metavar="BUNDLE", help="The bundle; the argument is then the id."
)
@click.option("--runtime", metavar="NAME|PATH", help="The low-level runtime: runc, crun, runsc, or a path.")
@click.option(
    "--overlay",
    type=click.Choice(MODES),
    help="Mount overlays by the kernel, by fuse-overlayfs, or by the first of them that can (auto).",
)
def run(**_: object) -> None:
    """Run a container from a bundle.

    BUNDLE is a directory with a config.json; the container is then named after it. With --bundle, or in a
    bundle's directory, the argument is the container's id, as with runc.
    """


@click.command("help", short_help="Show this text, or that of a command.")
@click.argument("command", required=False)
@click.pass_context
def help_(ctx: click.Context, command: str | None) -> None:
    """Show this text, or that of one command."""
    assert ctx.parent is not None
    found = ocishim.get_command(ctx, command) if command else ocishim
    if found is None:
        raise click.UsageError(
            f'no command "{command}" of ocishim; ask the runtime: RUNTIME {command} --help'
        )
    context = ctx.parent if found is ocishim else click.Context(found, info_name=command, parent=ctx.parent)
    click.echo(found.get_help(context))


plan.short_help = "Show what run would do, and do not do it."
ocishim.add_command(plan)
ocishim.add_command(doctor)
ocishim.add_command(explain)
ocishim.add_command(view)
ocishim.add_command(diff)
ocishim.add_command(unshare)
ocishim.add_command(completion)
ocishim.add_command(help_)
teach([ocishim, *ocishim.commands.values()])


def main(args: list[str]) -> int:
    """Do what a command line for a person asks for; give the exit status."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller closed it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - until the end
    try:
        status = ocishim.main(
            args, prog_name="ocishim", standalone_mode=False, color=terminal.colour(), complete_var=COMPLETE
        )
    except OSError:
        # What is still in its buffer cannot be written: Python would say so a second time at its end.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the end
        raise
    except click.ClickException as e:
        # One line, small first letter: as errors of the runtime path look.
        text = " ".join(e.format_message().rstrip(".").split())
        if text[1:2].islower():
            text = text[:1].lower() + text[1:]
        click.echo(f"ocishim: {printable(text)}", err=True)
        return e.exit_code
    return status if isinstance(status, int) else 0
