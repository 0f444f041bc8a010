"""What `ocishim --help` and `ocishim run --help` say."""

import click

from .. import __version__
from ..errors import printable
from ..settings import MODES, PATH
from .doctor import doctor
from .explain import explain
from .plan import plan

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
        return list(self.commands)


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    options_metavar="[--runtime NAME|PATH] [--overlay MODE]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s version %(version)s, then the runtime's own version")
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


@click.command("help")
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


ocishim.add_command(plan)
ocishim.add_command(doctor)
ocishim.add_command(explain)
ocishim.add_command(help_)


def main(args: list[str]) -> int:
    """Do what a command line for a person asks for; give the exit status."""
    try:
        status = ocishim.main(args, prog_name="ocishim", standalone_mode=False)
    except click.ClickException as e:
        # One line, small first letter: as errors of the runtime path look.
        text = " ".join(e.format_message().rstrip(".").split())
        if text[1:2].islower():
            text = text[:1].lower() + text[1:]
        click.echo(f"ocishim: {printable(text)}", err=True)
        return e.exit_code
    return status if isinstance(status, int) else 0
