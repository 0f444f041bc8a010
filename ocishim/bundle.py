"""config.json of a bundle: found, read as text and as a spec, never written to."""

import posix

from . import jsontext
from .errors import SpecError, words

#: A spec with 500 layers and a seccomp profile has 0.2 MB.
LARGEST = 16 << 20


class Bundle:
    """A bundle: its directory and its config.json, both absolute, and the text and value of the latter."""

    __slots__ = ("config", "directory", "spec", "text")

    def __init__(self, directory: str, config: str, text: str, spec: dict[str, object]) -> None:
        self.directory = directory
        self.config = config
        self.text = text
        self.spec = spec


def read(directory: str, config: str = "") -> Bundle:
    """Read a bundle; `config` is crun's --config, a file to take in place of config.json.

    Raises SpecError if there is no spec in it.
    """
    directory = _absolute(directory)
    config = _absolute(config) if config else f"{directory}/config.json"
    text = _read_text(config, directory)
    try:
        spec = jsontext.loads(text)
    except jsontext.JSONError as e:
        raise SpecError(config, f"not the JSON of a spec: {e}", "correct it", "OVL-RUN-08") from None
    if not isinstance(spec, dict):
        raise SpecError(config, "not a JSON object", "a spec is { … }", "OVL-RUN-08")
    _check_case(spec)
    return Bundle(directory, config, text, spec)


def _read_text(config: str, directory: str) -> str:
    try:
        file = posix.open(config, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY)
    except OSError as e:
        if e.errno == 2 and not _exists(directory):
            raise SpecError(directory, "no such bundle", "give a bundle's directory") from None
        raise SpecError(config, words(e.errno or 0), "a bundle holds a config.json") from None
    try:
        found = posix.fstat(file)
        if found.st_mode & 0o170000 != 0o100000:
            raise SpecError(config, "not a regular file", "a bundle holds a config.json")
        if found.st_size > LARGEST:
            raise SpecError(config, f"{found.st_size >> 20} MiB", f"a spec has {LARGEST >> 20} MiB at most")
        data = bytearray()
        while chunk := posix.read(file, max(found.st_size + 1 - len(data), 65536)):
            data += chunk
            if len(data) > LARGEST:
                raise SpecError(config, "it grows", f"a spec has {LARGEST >> 20} MiB at most")
    finally:
        posix.close(file)
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise SpecError(config, f"not UTF-8 at byte {e.start}", "correct it", "OVL-RUN-08") from None


def _check_case(spec: dict[str, object]) -> None:
    """Refuse a field that Go's JSON takes for one that ocishim reads, though it is spelt otherwise."""
    _fold("", spec, ("mounts", "linux", "annotations"))
    mounts, linux = spec.get("mounts"), spec.get("linux")
    for index, entry in enumerate(mounts if isinstance(mounts, list) else ()):
        _fold(f"mounts[{index}].", entry, _ENTRY)
    if isinstance(linux, dict):
        _fold("linux.", linux, ("namespaces", "mountLabel", "rootfsPropagation"))
        namespaces = linux.get("namespaces")
        for index, entry in enumerate(namespaces if isinstance(namespaces, list) else ()):
            _fold(f"linux.namespaces[{index}].", entry, ("type", "path"))


_ENTRY = ("destination", "type", "source", "options", "uidMappings", "gidMappings")


def _fold(where: str, fields: object, known: tuple[str, ...]) -> None:
    for key in fields if isinstance(fields, dict) else ():
        if key in known:
            continue
        for name in known:
            if key.casefold() == name.casefold():
                raise SpecError(
                    f"{where}{key}",
                    f'runc and runsc would read it as "{name}", crun would not',
                    f'write "{name}"',
                )


def _absolute(path: str) -> str:
    if path[:1] == "/":
        return path
    import os

    try:
        return os.path.realpath(path)
    except FileNotFoundError:  # of getcwd(2)
        why = "the current directory does not exist any more"
        raise SpecError(path, why, "give the bundle's whole path") from None


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True
