"""The catalogue of findings: what can be wrong with an overlay, its cause and remedy, how others word it.

The entries are data, one TOML file an area. Nothing here looks at the host.
"""

from dataclasses import dataclass  # noqa: TID253 - nothing hot loads this

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern

#: In the order in which they are listed.
AREAS = {
    "KRN": "Kernel, module, privilege",
    "OPT": "Options and paths",
    "UPP": "Upper file system",
    "LOW": "Lower file system",
    "UNS": "User namespaces, ids, mount flags",
    "SEL": "SELinux, AppArmor",
    "FUS": "fuse-overlayfs",
    "RUN": "Runtimes, and what programs notice",
}
SEVERITIES = ("refuse", "warn", "info")
#: What may stand in braces in a message.
PLACEHOLDERS = frozenset(
    "count errno fs id kernel limit option other path program role sysctl target uid value version".split()
)
#: A part of a kernel's message that differs each time, in an entry's `kernel_says`.
GAP = "…"
_QUOTES = "'\"`\u2018\u2019\u201c\u201d"
#: What mount(8) and runtimes say instead of an errno.
_INSTEAD_OF_ERRNO = {
    "wrong fs type, bad option, bad superblock": "EINVAL",
    "unknown filesystem type": "ENODEV",
    "cannot mount overlay read-only": "EROFS",
    "mount: … permission denied": "EPERM",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One entry of the catalogue. Its id never changes meaning.

    `message` is what `run` and `plan` print, with `{names}` of PLACEHOLDERS to fill in: the entry
    (`mounts[2]: `) goes before it and `; ` with the remedy behind. `severity` is refuse (the container must
    not start), warn (it works, but not as somebody may expect) or info. `kernel_says` are fragments of
    messages by which `search` knows the finding, GAP for what varies; `errno` are names.
    """

    id: str
    title: str
    severity: str
    applies: str
    message: str
    cause: str
    detected: str
    remedy: str
    command: tuple[str, ...]
    kernels: str
    errno: tuple[str, ...]
    kernel_says: tuple[str, ...]
    references: tuple[str, ...]

    @property
    def area(self) -> str:
        """The three letters in the middle of the id."""
        return self.id[4:7]


_loaded: dict[str, Finding] = {}


def all() -> tuple[Finding, ...]:
    """Give the whole catalogue, in its order."""
    return tuple(_catalogue().values())


def get(id_: str) -> Finding:
    """Give one finding; `upp-1` stands for OVL-UPP-01. Raises KeyError for one that does not exist."""
    return _catalogue()[full_id(id_)]


def full_id(text: str) -> str:
    """Write an id in full."""
    area, _, number = text.strip().upper().removeprefix("OVL-").partition("-")
    return f"OVL-{area}-{number.zfill(2)}" if number else f"OVL-{area}"


def near(id_: str) -> list[str]:
    """Give the ids that somebody may have meant."""
    import difflib

    wanted = full_id(id_)
    area = wanted[4:7]
    same = [known for known in _catalogue() if known[4:7] == area]
    return difflib.get_close_matches(wanted, same or list(_catalogue()), n=3, cutoff=0.6)


def search(errno: str = "", text: str = "") -> list[Finding]:
    """Find what a message or an errno means, the best guess first.

    The longest fragment of a known message that is in `text` wins; an errno that fits decides between equals.
    Where no fragment is found, the findings with that errno are given, or with the errno that the text names.
    """
    said = normal(text)
    ranked = []
    for position, finding in enumerate(all()):
        length = max((len(f) for f in map(normal, finding.kernel_says) if said and is_in(f, said)), default=0)
        if length:
            ranked.append((-length, errno not in finding.errno, position, finding))
    if ranked:
        return [finding for *_, finding in sorted(ranked, key=lambda rank: rank[:3])]
    errno = errno or errno_in(text)
    found = [finding for finding in all() if errno in finding.errno]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def recognise(text: str) -> Finding | None:
    """Give the finding whose own words are in a message, None where only an errno is known of it."""
    said = normal(text)
    for finding in search(text=text):
        if any(is_in(normal(fragment), said) for fragment in finding.kernel_says):
            return finding
    return None


def normal(text: str) -> str:
    """Write a message as fragments are compared: one line, small letters, no quotes."""
    return " ".join("".join(c for c in text.lower() if c not in _QUOTES).split())


def errno_name(text: str) -> str:
    """Give the name of an errno that is written as a name or a number, "" for none."""
    import errno

    word = text.strip().lstrip("-").upper()
    number = int(word) if word.isdecimal() else getattr(errno, word, 0) if word[:1] == "E" else 0
    return _name(number)


def errno_in(text: str) -> str:
    """Find the errno that a message names, by name, in words or in mount(8)'s own words; "" for none."""
    import errno
    import os
    import re

    said = normal(text)
    for words, name in _INSTEAD_OF_ERRNO.items():
        if is_in(words, said):
            return name
    in_words = {normal(os.strerror(number)): _name(number) for number in errno.errorcode}
    for words in sorted(in_words, key=len, reverse=True):
        if words in said:
            return in_words[words]
    by_number = re.search(r"(?:errno|err)[:= ]+-?(\d+)", said)
    if by_number:
        return errno_name(by_number[1])
    names = (errno_name(word) for word in re.findall(r"\be[a-z0-9]{2,}\b", said))
    return next((name for name in names if name), "")


def is_in(fragment: str, said: str) -> bool:
    """Tell whether a message has a fragment; both in the form that normal() gives."""
    if GAP not in fragment:
        return fragment in said
    return _pattern(fragment).search(said) is not None


def _name(number: int) -> str:
    import errno

    # Python names these two numbers by their other names.
    return {errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EDEADLK: "EDEADLK"}.get(
        number, errno.errorcode.get(number, "")
    )


def _pattern(fragment: str) -> "Pattern[str]":
    import re

    return re.compile(".{0,4096}?".join(re.escape(part.strip()) for part in fragment.split(GAP)))


def _catalogue() -> dict[str, Finding]:
    if not _loaded:
        import os
        import tomllib

        found = {}
        for area in AREAS:
            with open(f"{os.path.dirname(__file__)}/{area.lower()}.toml", "rb") as file:
                found.update({id_: _finding(id_, entry) for id_, entry in tomllib.load(file).items()})
        _loaded.update(found)
    return _loaded


def _finding(id_: str, entry: dict[str, object]) -> Finding:
    fields: dict[str, object] = {}
    for name, value in entry.items():
        fields[name] = tuple(value) if isinstance(value, list) else " ".join(str(value).split())
    return Finding(id=id_, **fields)  # type: ignore[arg-type]  # a test holds the files to the schema
