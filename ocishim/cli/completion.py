"""`ocishim completion`, and what a shell is offered: commands, bundles, runtimes, findings.

click asks for it when the shell sets COMPLETE and starts ocishim without arguments; a runtime's command line
never comes here.
"""

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from .. import argv, findings, settings
from ..errors import ShimError

TYPE_CHECKING = False
if TYPE_CHECKING:  # click before 8.4 has nothing to put into brackets
    Item = CompletionItem[str]
    Offer = Callable[[str], list[Item]]
    Type = click.ParamType[Any]
else:
    Type = click.ParamType

COMPLETE = "_OCISHIM_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")
#: What a runtime is told by; these go on to it.
OCI = {
    "create": "Create a container from a bundle",
    "start": "Start a created container",
    "run": "Run a container from a bundle",
    "state": "Print the state of a container",
    "kill": "Send a signal to a container",
    "delete": "Delete a container",
    "exec": "Run a process in a container",
    "ps": "List the processes of a container",
    "list": "List containers",
    "pause": "Pause a container",
    "resume": "Resume a paused container",
    "events": "Show events and statistics of a container",
    "update": "Change the resources of a container",
    "checkpoint": "Save the state of a container",
    "restore": "Restore a container from a checkpoint",
    "spec": "Write a new config.json",
    "features": "Print what the runtime can do",
}
#: The links to ocishim that a shell is told of, too.
_LINKS = tuple(f"ocishim-{kind}" for kind in settings.KINDS)
#: Shells read what is offered as words of theirs; a directory with other characters is left to the shell.
_HARMLESS = re.compile(r"[\w./+@%-]+\Z")
_MORE = {
    "bash": "complete -o nosort -F _ocishim_completion {link}\n",
    "zsh": "compdef _ocishim_completion {link}\n",
    "fish": "complete --command {link} --wraps ocishim\n",
}


@click.command(
    short_help="Print the completion script of a shell.",
    epilog="Exit status: 0; 2 for a shell that is none of these.",
)
@click.argument("shell", type=click.Choice(_SHELLS), metavar="bash|zsh|fish")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete ocishim's command lines.

    \b
    bash:   source <(ocishim completion bash)                        in ~/.bashrc
    zsh:    source <(ocishim completion zsh)         in ~/.zshrc, behind compinit
    fish:   ocishim completion fish >~/.config/fish/completions/ocishim.fish

    Commands, options, runtimes, bundles (directories with a config.json) and the ids of findings are
    completed, those of ocishim-runc, ocishim-crun and ocishim-runsc too.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "ocishim", COMPLETE).source()
    # click's script for fish would end a description at its first comma.
    script = script.replace('string split ","', 'string split --max 1 ","')
    click.echo(script + "".join(_MORE[shell].format(link=link) for link in _LINKS), nl=False)


class _Offering(Type):
    """A type that converts as another one does, and offers what a function finds."""

    def __init__(self, inner: Type, offer: "Offer") -> None:
        self.inner = inner
        self.name = inner.name
        self.offer = offer

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.inner.convert(value, param, ctx)

    def shell_complete(self, _: click.Context, __: click.Parameter, incomplete: str) -> "list[Item]":
        return self.offer(incomplete)


def teach(commands: Iterable[click.Command]) -> None:
    """Have commands offer something for the arguments that are named the same in all of them."""
    commands = list(commands)
    names = [str(command.name) for command in commands if not isinstance(command, click.Group)]
    for command in commands:
        for param in command.params:
            if "--runtime" in param.opts:
                param.type = _Offering(param.type, runtimes)
            elif param.name == "bundle" or "--bundle" in param.opts:
                param.type = _Offering(param.type, bundles)
            elif param.name == "id_":
                param.type = _Offering(param.type, finding_ids)
            elif param.name == "command":
                param.type = _Offering(param.type, lambda start: _beginning_with(start, names))


def of_the_runtime(name: str) -> click.Command:
    """Make a stand-in for a command that a runtime gets, by which its --bundle is completed."""
    rest = click.Argument(["rest"], nargs=-1, type=_Offering(click.STRING, lambda _: []))
    command = click.Command(name, params=[rest], help=OCI[name], add_help_option=False)
    if name in argv.MAKES_CONTAINER:
        command.params.insert(0, click.Option(["-b", "--bundle"], metavar="BUNDLE", help="The bundle."))
        command.params[0].type = _Offering(click.STRING, bundles)
    return command


def _beginning_with(start: str, names: Iterable[str]) -> "list[Item]":
    return [CompletionItem(name) for name in names if name.startswith(start)]


def runtimes(incomplete: str) -> "list[Item]":
    """Offer the runtimes of the settings, or for a path what the shell finds."""
    if "/" in incomplete:
        return [CompletionItem(incomplete, type="file")]
    try:
        environ = {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}
        names = [*settings.load(environ).runtimes]
    except ShimError:
        names = [*settings.KINDS]
    return _beginning_with(incomplete, filter(_HARMLESS.match, names))


def bundles(incomplete: str) -> "list[Item]":
    """Offer the bundles that a path may come to be; where there are none, directories on the way to them."""
    parent, slash, start = incomplete.rpartition("/")
    try:
        names = sorted(os.listdir(f"{parent}{slash}" or "."))
    except OSError:
        names = []
    found = []
    for name in [".", *names] if not incomplete else names:
        is_shown = bool(start) or name == "." or name[:1] != "."
        if name.startswith(start) and is_shown and os.path.isfile(f"{parent}{slash}{name}/config.json"):
            found.append(f"{parent}{slash}{name}")
    if not found or not all(map(_HARMLESS.match, found)):
        return [CompletionItem(incomplete, type="dir")]
    return [CompletionItem(path) for path in found]


def finding_ids(incomplete: str) -> "list[Item]":
    """Offer the ids of the catalogue with their titles; `upp` stands for OVL-UPP."""
    wanted = incomplete.upper()
    if not wanted.startswith("OVL-") and not "OVL-".startswith(wanted):
        wanted = f"OVL-{wanted}"
    return [
        CompletionItem(finding.id, help=finding.title)
        for finding in findings.all()
        if finding.id.startswith(wanted)
    ]
