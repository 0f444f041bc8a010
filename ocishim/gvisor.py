"""What runsc needs besides bind mounts: no flags that lose writes, a whole path, exclusive access."""

from .errors import SpecError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .argv import Invocation
    from .bundle import Bundle
    from .settings import Runtime
    from .step import Step

EXCLUSIVE = "dev.ocishim/exclusive"
_HINT = "dev.gvisor.spec.mount."
#: The flag for what runsc may keep of its mounts.
_ACCESS = "file-access-mounts"
#: Annotations that runsc takes as flags, with --allow-flag-override.
_FLAG = "dev.gvisor.flag."


def prepare(
    inv: "Invocation", settings: "Runtime", found: "Bundle", steps: "Sequence[Step]", is_initial: bool
) -> None:
    """Check a container of runsc, and give its command line what runsc needs. Raises ShimError.

    `is_initial` tells the initial user namespace.
    """
    words = [*settings.args, *inv.words[: inv.command_at]]
    check_flags(words)
    check_spec(found.spec, steps, found.directory)
    # runsc keeps the bundle's path as it is given, and reads it from another directory later.
    if inv.bundle_at >= 0:
        inv.set_value(inv.bundle_at, found.directory)
    else:
        at = inv.command_at + 1
        inv.words[at:at] = ["--bundle", found.directory]
    if not is_initial:
        inv.put_before_command(*rootless_flags(inv, settings.args, found.spec))
    is_wanted = wants_exclusive(found.spec, settings.exclusive)
    if is_wanted or dict(_flags(words)).get(_ACCESS) == "exclusive":
        from .probe import shared

        shared.check(found.spec, steps, found.directory)
    if is_wanted:
        import resource

        flags = exclusive_flags(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        inv.put_before_command(*flags)


def rootless_flags(inv: "Invocation", settings: "Sequence[str]", spec: "Mapping[str, object]") -> list[str]:
    """Give the flags that runsc needs in a user namespace, but for those that are given already.

    It may not make cgroups there, and knows no network but none and the host's. A container without a network
    namespace of its own has the host's. `--rootless` belongs to run and do alone.
    """
    given = {name for name, _ in _flags([*settings, *inv.words[: inv.command_at]])}
    linux = spec.get("linux")
    entries = linux.get("namespaces") if isinstance(linux, dict) else None
    kinds = {entry.get("type") for entry in entries or () if isinstance(entry, dict)}
    flags = []
    if "ignore-cgroups" not in given:
        flags.append("--ignore-cgroups")
    if "network" not in given:
        flags.append("--network=none" if "network" in kinds or not linux else "--network=host")
    if "rootless" not in given and inv.command == "run":
        flags.append("--rootless")
    return flags


def check_flags(words: "Sequence[str]") -> None:
    """Refuse flags by which runsc keeps writes to its mounts in memory: they would not reach upperdir."""
    for name, value in dict(_flags(words)).items():  # the last one counts
        _check_flag(f"runsc --{name}={value}" if name == "overlay2" else f"runsc --{name}", name, value)


def _check_flag(where: str, name: str, value: str) -> None:
    if name == "overlay2" and value.partition(":")[0] == "all":
        raise UsageError(
            where,
            "writes to every mount stay in the sandbox, none reaches an upperdir",
            "use --overlay2=root:… or none",
            "OVL-RUN-13",
        )
    if name == "overlay" and value.lower() in ("", "true", "t", "1"):
        raise UsageError(
            where,
            "writes to every mount stay in the sandbox, none reaches an upperdir",
            "use --overlay2=root:memory",
            "OVL-RUN-13",
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
        if key.startswith(_FLAG) and isinstance(value, str):
            _check_flag(f'annotations["{key}"]', key.removeprefix(_FLAG), value)
        if not key.startswith(_HINT) or not key.endswith(".source"):
            continue
        for step in steps:
            source = step.mount.source
            if value in (source, f"{bundle}/{source}", step.mount.destination, step.upper):
                raise SpecError(
                    f'annotations["{key}"]',
                    f"runsc would keep what is written to {step.mount.destination} from upperdir",
                    "remove the mount hint",
                    "OVL-RUN-14",
                )


def wants_exclusive(spec: dict[str, object], setting: bool) -> bool:
    """Tell whether exclusive access is asked for: the annotation decides, else the setting."""
    annotations = spec.get("annotations")
    value = annotations.get(EXCLUSIVE) if isinstance(annotations, dict) else None
    if value is None:
        return setting
    if value not in ("true", "false"):
        why = f'"{value}" is neither "true" nor "false"' if isinstance(value, str) else "not a string"
        raise SpecError(f'annotations["{EXCLUSIVE}"]', why, 'write "true"')
    return bool(value == "true")


def exclusive_flags(descriptors: int) -> list[str]:
    """Give the flags for exclusive access; `descriptors` is the hard limit of RLIMIT_NOFILE, -1 for none.

    Each cached entry may hold a descriptor, and a program that finds none left gets EMFILE, so the cache
    takes a quarter of them. runsc's own default is 1000.
    """
    entries = 100_000 if descriptors < 0 else min(max(descriptors // 4, 100), 100_000)
    return [f"--{_ACCESS}=exclusive", f"--dcache={entries}"]


def _flags(words: "Sequence[str]") -> "Iterator[tuple[str, str]]":
    for at, word in enumerate(words):
        if word[:1] == "-":
            name, equals, value = word.lstrip("-").partition("=")
            if not equals and name in ("overlay2", _ACCESS):
                value = words[at + 1] if at + 1 < len(words) else ""
            yield name, value
