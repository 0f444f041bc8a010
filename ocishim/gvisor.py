"""What runsc needs besides bind mounts: refusals of flags that would lose writes, and exclusive access."""

from .errors import SpecError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .plan import Step

EXCLUSIVE = "dev.ocishim/exclusive"
_HINT = "dev.gvisor.spec.mount."


def check_flags(words: "Sequence[str]") -> None:
    """Refuse flags by which runsc keeps writes to its mounts in memory: they would not reach upperdir."""
    for name, value in _flags(words):
        if name == "overlay2" and value.partition(":")[0] == "all":
            raise UsageError(
                f"runsc --overlay2={value}",
                "writes to every mount stay in the sandbox, none reaches an upperdir",
                "use --overlay2=root:… or none",
            )
        if name == "overlay" and value.lower() in ("", "true", "t", "1"):
            raise UsageError(
                "runsc --overlay",
                "writes to every mount stay in memory, none reaches an upperdir",
                "use --overlay2=root:memory",
            )


def check_spec(spec: dict[str, object], steps: "Sequence[Step]", bundle: str) -> None:
    """Refuse what runsc cannot do to a bind mount, or would do to it without saying so."""
    for step in steps:
        for word in step.mount.propagation:
            if word in ("shared", "rshared"):
                raise SpecError(
                    f"{step.mount.where}.options",
                    f'runsc does not support "{word}"',
                    "use rslave or rprivate",
                )
    hints = spec.get("annotations")
    for key, value in hints.items() if isinstance(hints, dict) else ():
        if not key.startswith(_HINT) or not key.endswith(".source"):
            continue
        for step in steps:
            source = step.mount.source
            if value in (source, f"{bundle}/{source}", step.mount.destination, step.upper):
                raise SpecError(
                    f'annotations["{key}"]',
                    f"runsc would keep what is written to {step.mount.destination} from upperdir",
                    "remove the mount hint",
                )


def wants_exclusive(spec: dict[str, object], setting: bool) -> bool:
    """Tell whether exclusive access is asked for: the annotation decides, else the setting."""
    annotations = spec.get("annotations")
    value = annotations.get(EXCLUSIVE) if isinstance(annotations, dict) else None
    if value is None:
        return setting
    if value not in ("true", "false"):
        raise SpecError(f'annotations["{EXCLUSIVE}"]', f"{value!r} is neither true nor false", 'write "true"')
    return bool(value == "true")


def exclusive_flags(descriptors: int) -> list[str]:
    """Give the flags for exclusive access; `descriptors` is the hard limit of RLIMIT_NOFILE.

    Each cached entry may hold a descriptor, and a program that finds none left gets EMFILE, so the cache
    takes a quarter of them. runsc's own default is 1000.
    """
    return ["--file-access-mounts=exclusive", f"--dcache={min(max(descriptors // 4, 100), 100_000)}"]


def _flags(words: "Sequence[str]") -> "Iterator[tuple[str, str]]":
    for at, word in enumerate(words):
        if word[:1] == "-":
            name, equals, value = word.lstrip("-").partition("=")
            if not equals and name == "overlay2":
                value = words[at + 1] if at + 1 < len(words) else ""
            yield name, value
