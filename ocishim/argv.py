"""The command line of an OCI runtime, as runc, crun and runsc read it and as engines write it."""

from .errors import UsageError
from .settings import MODES

#: What an OCI runtime is told to do. Anything else is the runtime's own, and not looked into.
COMMANDS = frozenset(
    "checkpoint create delete events exec features kill list pause ps restore resume run spec start "
    "state update".split()
)
#: ocishim's own commands, for people.
OWN_COMMANDS = frozenset(("completion", "diff", "doctor", "explain", "help", "plan", "unshare", "view"))
#: The commands that make a container out of a bundle.
MAKES_CONTAINER = frozenset(("create", "restore", "run"))

#: Flags before the command that take the next word as their value, in any of the three runtimes.
_GLOBAL_VALUES = frozenset(
    "cgroup-manager criu log log-format root "  # runc, crun
    "EXPERIMENTAL-xdp TESTONLY-autosave-image-path TESTONLY-test-name-env character-device-policy "
    "control-rpc-stop-timeout coverage-fd coverage-report dcache debug-command debug-log "
    "debug-log-fd debug-log-format fdlimit file-access file-access-mounts final-metrics-log "
    "gofer-network-namespace gvisor-gro host-fifo host-settings host-uds log-fd network "
    "network-processors-per-channel num-network-channels nvproxy-allowed-driver-capabilities "
    "nvproxy-driver-version override-procs overlay2 panic-log panic-log-fd panic-signal pcap-log "
    "platform platform_device_path pod-init-config profile-block profile-cpu profile-gc-interval "
    "profile-heap profile-mutex profiling-metrics profiling-metrics-log "
    "profiling-metrics-rate-us qdisc ref-leak-mode restore-spec-validation shared-root "
    "sidecar-release-enforcement-policy strace-log-size strace-syscalls trace traceback "
    "watchdog-action".split()  # runsc
)
_GLOBAL_BOOLEANS = frozenset(("debug", "help", "overlay", "rootless", "systemd-cgroup", "version"))
#: Commands of runsc's own: behind a flag that nobody here knows, they are not that flag's value.
_OTHER_COMMANDS = frozenset(
    "boot cpu-features debug do export-metrics flags fscheckpoint gofer help install metric-metadata "
    "metric-server mitigate nvproxy port-forward read read-control sandboxexec symbolize tar trace "
    "umount uninstall usage wait write-control".split()
)
#: Flags behind create, run, restore, exec and ps that take a value; `f` and `config` are crun's.
_VALUES = frozenset(
    "b bundle config console-socket exec-fd f fs-restore-image-path image-path lsm-mount-context "
    "lsm-profile manage-cgroups-mode empty-ns pass-fd pid-file preserve-fds user-log work-path "
    "additional-gids apparmor c cap cgroup cwd e env format g internal-pid-file p process "
    "process-label r resources u user".split()
)
#: Those of them that say where the spec is; crun takes a short one and its value in one word.
_PATHS = ("b", "bundle", "config", "f")
_BOOLEANS = frozenset(
    "d detach h help keep no-new-keyring no-new-privs no-pivot no-subreaper t tty background direct "
    "fs-restore-direct tcp-established ext-unix-sk shell-job file-locks auto-dedup lazy-pages "
    "ignore-paused a all force leave-running pgid pre-dump q quiet regex stats".split()
)
#: Letters that mean --force and --regex to these commands.
_SHORT_BOOLEANS = {"delete": ("f", "r"), "kill": ("r",)}
_BOOLEAN_WORDS = ("true", "false", "t", "f", "1", "0")


class Invocation:
    """One command line, understood as far as ocishim needs it.

    `words` is what the runtime gets: everything as it came, without ocishim's own two flags. The indexes
    `bundle_at` (the word that holds the bundle's path), `config_at` and `id_at` point into it, -1 where
    there is none.
    """

    __slots__ = (
        "bundle_at",
        "command",
        "command_at",
        "config_at",
        "help",
        "id_at",
        "log",
        "log_format",
        "overlay",
        "root",
        "runtime",
        "version",
        "words",
        "wrong",
    )

    def __init__(self) -> None:
        self.words: list[str] = []
        self.command = ""
        self.command_at = -1
        self.bundle_at = -1
        self.config_at = -1
        self.id_at = -1
        self.log = ""
        self.log_format = "text"
        self.root = ""
        self.runtime = ""
        self.overlay = ""
        self.version = False
        self.help = False
        self.wrong: UsageError | None = None

    def value(self, at: int) -> str:
        """Give the value that the word at this index holds: `/b` of `/b`, `--bundle=/b` and `-b/b`."""
        return self.words[at][self._value_from(at) :]

    def set_value(self, at: int, value: str) -> None:
        """Replace the value that the word at this index holds."""
        self.words[at] = self.words[at][: self._value_from(at)] + value

    def put_before_command(self, *words: str) -> None:
        """Add flags for the runtime, in front of the command."""
        self.words[self.command_at : self.command_at] = words
        self.command_at += len(words)
        for name in ("bundle_at", "config_at", "id_at"):
            if getattr(self, name) >= 0:
                setattr(self, name, getattr(self, name) + len(words))

    def _value_from(self, at: int) -> int:
        word = self.words[at]
        before = self.words[at - 1]
        if word[:1] != "-" or before == "--" or before.lstrip("-") in _PATHS:
            return 0
        name, equals, _ = _flag(word)
        return word.index("=") + 1 if equals and name in _PATHS else 2


def parse(args: list[str]) -> Invocation:
    """Understand a command line, without argv[0].

    What is wrong with ocishim's own flags is in `wrong`, so that the rest (--log) is known when it is told.
    """
    inv = Invocation()
    at = _parse_global(args, inv)
    if at >= len(args):
        return inv
    inv.command = args[at]
    inv.command_at = len(inv.words)
    inv.words.append(inv.command)
    rest = args[at + 1 :]
    if inv.command in MAKES_CONTAINER:
        _parse_command(rest, inv, ends_at_id=False)
    elif inv.command in COMMANDS:
        # What follows the id of exec and ps is another program's command line.
        _parse_command(rest, inv, ends_at_id=inv.command in ("exec", "ps"))
    else:
        inv.words += rest
    return inv


def _parse_global(args: list[str], inv: Invocation) -> int:
    at = 0
    while at < len(args):
        word = args[at]
        if word[:1] != "-" or word == "-":
            break
        if word == "--":
            inv.words.append(word)
            at += 1
            break
        name, equals, value = _flag(word)
        taken = _own(name, equals, value, args, at, inv)
        if taken:
            at += taken
            continue
        inv.words.append(word)
        at += 1
        if name in ("h", "help", "?"):
            inv.help = True
        elif name in ("v", "V", "version"):
            inv.version = True
        elif not equals and at < len(args) and _takes_value(name, args[at], _GLOBAL_VALUES):
            value = args[at]
            inv.words.append(value)
            at += 1
        if name == "log":
            inv.log = value
        elif name == "log-format":
            inv.log_format = value
        elif name == "root":
            inv.root = value
    return at


def _takes_value(name: str, following: str, values: frozenset[str]) -> bool:
    if name in values:
        return True
    if name == "rootless":  # runc and crun: --rootless auto; runsc: --rootless run
        return following.lower() in ("auto", *_BOOLEAN_WORDS)
    return name not in _GLOBAL_BOOLEANS and following[:1] != "-" and not _is_command(following)


def _is_command(word: str) -> bool:
    return word in COMMANDS or word in _OTHER_COMMANDS


def _parse_command(args: list[str], inv: Invocation, *, ends_at_id: bool) -> None:
    at = 0
    while at < len(args):
        word = args[at]
        at += 1
        if word == "--":
            inv.words.append(word)
            if at < len(args) and inv.id_at < 0:
                inv.id_at = len(inv.words)
            inv.words += args[at:]
            return
        if word[:1] != "-" or word == "-":
            if inv.id_at < 0:
                inv.id_at = len(inv.words)
            inv.words.append(word)
            if ends_at_id:
                inv.words += args[at:]
                return
            continue
        name, equals, value = _flag(word)
        taken = _own(name, equals, value, args, at - 1, inv)
        if taken:
            at += taken - 1
            continue
        inv.words.append(word)
        in_word = bool(equals)
        if word[1] != "-" and name[:1] in ("b", "f") and name not in _VALUES and name not in _BOOLEANS:
            name, in_word = name[0], True  # crun's -bDIR, beside Go's -bundle DIR and -background
        elif not equals and at < len(args) and _command_takes_value(name, args, at, inv):
            inv.words.append(args[at])
            at += 1
            in_word = True
        if inv.command in MAKES_CONTAINER and in_word:
            if name in ("b", "bundle"):
                inv.bundle_at = len(inv.words) - 1
            elif name in ("f", "config"):
                inv.config_at = len(inv.words) - 1
        elif name in ("h", "help"):
            inv.help = True


def _command_takes_value(name: str, args: list[str], at: int, inv: Invocation) -> bool:
    if name in _BOOLEANS or name in _SHORT_BOOLEANS.get(inv.command, ()):
        return False
    if name in _VALUES:
        return True
    if args[at][:1] == "-" and args[at] != "-":
        return False
    # A flag of a later release: it takes a value if a positional is left for the container's id.
    is_value = False
    for word in args[at + 1 :]:
        if word[:1] != "-" and not is_value:
            return True
        is_value = word[:1] == "-" and word.lstrip("-") in _VALUES
    return False


def _own(name: str, equals: str, value: str, args: list[str], at: int, inv: Invocation) -> int:
    """Take --runtime and --overlay out. Gives the number of words taken, 0 if the flag is not ours."""
    if name == "runtime":
        if not equals and at + 1 < len(args):
            value = args[at + 1]
        if not value:
            inv.wrong = UsageError("--runtime", "no runtime named", "e.g. --runtime runsc")
        inv.runtime = value
    elif name == "overlay":
        # runsc has a flag of the same name, a boolean.
        if equals and value.lower() in _BOOLEAN_WORDS:
            return 0
        if not equals:
            value = args[at + 1] if at + 1 < len(args) else ""
            if not value or value[0] == "-" or _is_command(value):
                return 0
        if value not in MODES:
            why = f'"{value}" is none of {", ".join(MODES)}'
            inv.wrong = UsageError("--overlay", why, "e.g. --overlay kernel")
        inv.overlay = value
    else:
        return 0
    return 1 if equals else 2


def _flag(word: str) -> tuple[str, str, str]:
    name, equals, value = word.partition("=")
    return name.removeprefix("-").removeprefix("-"), equals, value
