"""Facts and reports without the names of a host's users, of the host, and of the paths that are theirs. Pure.

A name becomes a placeholder, the same name the same one, so that what lies in what can still be seen. What
belongs to the system, or says what a directory is for, stays. The kernel's log may name anything, by half a
path or without one: of it only words stay that the catalogue of findings has.
"""

import re  # noqa: TID253 - nothing hot loads this
from dataclasses import dataclass, fields, is_dataclass, replace  # noqa: TID253 - nothing hot loads this

from . import findings
from .probe.facts import Facts
from .report import Line, Report, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Top directories of the system: a path below stays as it is.
_SYSTEM = frozenset("bin boot dev gnu lib lib32 lib64 libx32 nix proc sbin sys usr".split())
#: Of /etc and /run what is the system's, too.
_SYSTEM_BELOW = {
    "etc": frozenset(
        "apparmor.d containerd containers crio docker fstab fuse.conf modprobe.d modules-load.d ocishim "
        "selinux subgid subuid sysctl.d".split()
    ),
    "run": frozenset(("containerd", "crio", "docker", "ocishim", "podman", "runc", "runsc", "crun")),
}
#: Names that say what something is for, not whose it is.
_PLAIN = frozenset(
    ". .. .cache .config .local .venv bin bundle bundles config.json config.toml containerd containers crun "
    "data diff docker etc fs fuse-overlayfs home l lib lib64 libexec local lower lowerdir media merged mnt "
    "ocishim opt overlay overlay2 podman python python3 root rootfs run runc runsc sbin share snapshots srv "
    "storage tmp upper upperdir user usr var vfs work workdir".split()
)
#: Users and hosts that are nobody's.
_NOBODY = _PLAIN | frozenset(("localhost", "nobody", "debian", "ubuntu", "fedora", "linux"))
#: Fields of the facts that are a path as a whole, and that hold words of the host; the others have values of
#: ocishim's own.
_PATHS = frozenset("destination module mount_point path program source submounts written".split())
_WORDS = _PATHS | frozenset(
    "added marks name options problem refused rejected release remedy said super_options version".split()
)
#: What others said, of which only known words stay: a field, and a part of other fields.
_SAID = "said"
_LOG = re.compile(r"(?<=\(kernel log: ).*(?=\))", re.DOTALL)
#: Besides the words of the catalogue: what ocishim says in that field, and the names in its trials.
_OWN = frozenset(
    "answer chroot disk drops err errno ino l1 l2 m may s time tmpfs within keyerror oserror".split()
)
_TRIAL = re.compile(r"[oix]\w+-(?:upper|work)dir|E[A-Z0-9]+|0x[0-9a-f]+")
_WORD = re.compile(rf"{_TRIAL.pattern}|\w+")
_PLACEHOLDER = re.compile(r"\b(name|user|host)-(\d+)\b")
_END = r"\s'\"`,;:()<>|"
_QUOTED = r"(?<=')[~.]{0,2}/[^']*(?=')|(?<=\")[~.]{0,2}/[^\"]*(?=\")"
_BEFORE = r"(?<![\w./~-])"
_BARE = rf"{_BEFORE}[~.]{{0,2}}/[^{_END}]*"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What must not be seen: names of users, of hosts, and paths, whose end a text alone may not tell."""

    users: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


class Placeholders:
    """The placeholders given so far; facts and reports that share them can be read together."""

    def __init__(self, secrets: Secrets) -> None:
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()
        self._paths = set(secrets.paths)
        self._names: dict[str, str] = {}
        self._kinds = (("user", secrets.users), ("host", secrets.hosts))
        self._pattern = re.compile("")

    def prepare(self, texts: list[str], paths: list[str]) -> None:
        """Get to know paths, users and what looks like a placeholder, before the first text is changed."""
        self._paths |= {path for path in paths if path.startswith("/")}
        self._taken |= {match[0] for text in texts for match in _PLACEHOLDER.finditer(text)}
        known = sorted((path for path in self._paths if path.strip("/")), key=len, reverse=True)
        literal = "|".join(map(re.escape, known))
        literal = rf"{_BEFORE}(?:{literal})(?:(?=[{_END}]|$)|/[^{_END}]*)|" if literal else ""
        self._pattern = re.compile(f"{literal}{_QUOTED}|{_BARE}")
        in_paths = [m[1] for text in texts for m in re.finditer(rf"/(?:home|Users)/([^/{_END}]+)", text)]
        for kind, names in (*self._kinds, ("user", tuple(in_paths))):
            for name in names:
                if len(name) > 1 and name.casefold() not in _NOBODY and not _PLACEHOLDER.fullmatch(name):
                    self._names.setdefault(name.casefold(), kind)

    def hide(self, text: str, name: str = "") -> str:
        """Put placeholders into a text; `name` is the field's, if it is one of the facts."""
        parts, end = [], 0
        for match in self._pattern.finditer(text):
            parts += [self._hide_names(text[end : match.start()]), self._hide_path(match[0])]
            end = match.end()
        hidden = "".join([*parts, self._hide_names(text[end:])])
        if name == _SAID:
            return self._hide_words(hidden)
        return _LOG.sub(lambda log: self._hide_words(log[0]), hidden)

    def _hide_words(self, text: str) -> str:
        """Hide all words that nobody knows; paths are hidden already."""
        parts, end = [], 0
        for match in self._pattern.finditer(text):
            parts += [self._hide_unknown(text[end : match.start()]), match[0]]
            end = match.end()
        return "".join([*parts, self._hide_unknown(text[end:])])

    def _hide_unknown(self, text: str) -> str:
        known = _known_words()

        def hide(match: "re.Match[str]") -> str:
            word = match[0]
            is_known = word.casefold() in known or word.isdecimal() or _TRIAL.fullmatch(word)
            return word if is_known else self._placeholder(word)

        return _WORD.sub(hide, text)

    def _hide_path(self, path: str) -> str:
        parts = path.split("/")
        kept = _length_of_system(parts)
        shown = [self._hide_names(part) for part in parts[:kept]]
        return "/".join([*shown, *(self._hide_part(part) for part in parts[kept:])])

    def _hide_part(self, part: str) -> str:
        is_plain = part in _PLAIN or (part.isdecimal() and len(part) < 5) or _PLACEHOLDER.fullmatch(part)
        if not part or part == "~" or is_plain:
            return part
        return self._placeholder(part)

    def _hide_names(self, text: str) -> str:
        if not self._names:
            return text
        names = "|".join(re.escape(name) for name in sorted(self._names, key=len, reverse=True))
        pattern = rf"(?<![^\W_])(?:{names})(?![^\W_])"
        return re.sub(pattern, lambda match: self._placeholder(match[0]), text, flags=re.IGNORECASE)

    def _placeholder(self, name: str) -> str:
        kind = self._names.get(name.casefold(), "name")
        name = name.casefold() if kind != "name" else name
        number = 1
        while name not in self._given:
            placeholder = f"{kind}-{number}"
            if placeholder not in self._taken:
                self._taken.add(placeholder)
                self._given[name] = placeholder
            number += 1
        return self._given[name]


def facts(found: Facts, hidden: Placeholders) -> Facts:
    """Redact the facts of a host; they can still be loaded and judged."""
    texts: list[str] = []
    paths: list[str] = []

    def see(text: str, name: str) -> str:
        texts.append(text)
        if name in _PATHS:
            paths.append(text)
        return text

    _in_facts(found, see)
    hidden.prepare(texts, paths)
    changed = _in_facts(found, hidden.hide)
    assert isinstance(changed, Facts)
    return changed


def report(found: Report, hidden: Placeholders) -> Report:
    """Redact a report; marks and ids stay."""
    texts: list[str] = []

    def see(text: str) -> str:
        texts.append(text)
        return text

    _in_report(found, see)
    hidden.prepare(texts, [])
    return _in_report(found, lambda text: hidden.hide(text))


def _in_facts(value: object, change: "Callable[[str, str], str]", name: str = "") -> object:
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        return replace(value, **{name: _in_facts(getattr(value, name), change, name) for name in names})
    if isinstance(value, tuple):
        return tuple(_in_facts(each, change, name) for each in value)
    if isinstance(value, dict):
        return {key: _in_facts(each, change) for key, each in value.items()}
    return change(value, name) if isinstance(value, str) and name in _WORDS else value


def _in_report(found: Report, change: "Callable[[str], str]") -> Report:
    def line(each: Line) -> Line:
        return replace(each, what=change(each.what), why=change(each.why), remedy=change(each.remedy))

    def verdict(each: Verdict) -> Verdict:
        return replace(each, line=line(each.line), about=change(each.about))

    return Report(
        {change(title): tuple(map(line, lines)) for title, lines in found.sections.items()},
        tuple(map(verdict, found.verdicts)),
        change(found.title),
    )


def _known_words() -> frozenset[str]:
    """Give the words of the catalogue of findings, in small letters: they are nobody's name."""
    if not _known:
        texts = []
        for finding in findings.all():
            texts += [finding.title, finding.applies, finding.message, finding.cause, finding.remedy]
            texts += [finding.detected, *finding.kernel_says]
        _known.append(frozenset(re.findall(r"\w+", " ".join(texts).casefold())) | _OWN | _PLAIN)
    return _known[0]


_known: list[frozenset[str]] = []


def _length_of_system(parts: list[str]) -> int:
    """Tell how many of a path's parts stay as they are."""
    if parts[0] or len(parts) < 2 or ".." in parts:
        return 1
    if parts[1] == "proc" and len(parts) > 3 and parts[3] in ("root", "cwd"):
        return 4
    if parts[1] in _SYSTEM or (len(parts) > 2 and parts[2] in _SYSTEM_BELOW.get(parts[1], ())):
        return len(parts)
    return 1
