"""Which mounts of a spec reach the host, and so must not be cut off by the private mount namespace."""

import os

from .errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .bundle import Bundle


def shared_sources(found: "Bundle", covered: "Sequence[str]") -> list[str]:
    """Find the sources of rshared bind mounts, as real paths, none inside another.

    `covered` are paths that ocishim mounts over. Raises SpecError where that would reach the host.
    """
    linux = found.spec.get("linux")
    if isinstance(linux, dict) and linux.get("rootfsPropagation") in ("slave", "rslave"):
        return []
    sources = {path: where for where, path in _shared_binds(found) if os.path.exists(path)}
    outermost: list[str] = []
    for path in sorted(sources):
        if any(_lies_in(path, other) for other in outermost):
            continue
        for what in covered:
            if _lies_in(what, path):
                raise SpecError(
                    f"{sources[path]}.source",
                    f"{path} is shared with the host and holds {what}, where ocishim mounts",
                    "bind a directory further down, or use rslave",
                )
        outermost.append(path)
    return outermost


def _shared_binds(found: "Bundle") -> "Iterator[tuple[str, str]]":
    entries = found.spec["mounts"]
    assert isinstance(entries, list)
    for index, entry in enumerate(entries):
        words, source = entry.get("options"), entry.get("source")
        if not isinstance(words, list) or not isinstance(source, str):
            continue
        is_bind = entry.get("type") == "bind" or "bind" in words or "rbind" in words
        if is_bind and ("shared" in words or "rshared" in words):
            try:
                yield f"mounts[{index}]", os.path.realpath(os.path.join(found.directory, source))
            except ValueError:  # NUL, half a surrogate pair: no path, and the runtime says so
                continue


def _lies_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
