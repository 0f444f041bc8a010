"""Initial RAM file systems in the kernel's cpio format, with modules in the order in which they load."""

import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping

#: What `insmod` needs to be told apart from: a module's name has _ where its file may have -.
_DEPENDS = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Give the archive of `files`: mode and content by name, a directory before what it holds."""
    entries = [_entry(number, name, *files[name]) for number, name in enumerate(files, 1)]
    return b"".join([*entries, _entry(0, "TRAILER!!!", 0, b"")])


def _entry(inode: int, name: str, mode: int, data: bytes) -> bytes:
    path = name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, four of device numbers, length of the name, check (not used)
    numbers = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + path
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def directory() -> tuple[int, bytes]:
    """Give an entry of `archive`."""
    return stat.S_IFDIR | 0o755, b""


def file(content: bytes, *, executable: bool = False) -> tuple[int, bytes]:
    """Give an entry of `archive`."""
    return stat.S_IFREG | (0o755 if executable else 0o644), content


def depends(module: bytes) -> list[str]:
    """Give the names of the modules that `module`, the content of a .ko file, needs."""
    found = _DEPENDS.search(module)
    return [_name(name) for name in found[1].decode().split(",") if name] if found else []


def load_order(wanted: Iterable[str], read: Callable[[str], bytes]) -> dict[str, bytes]:
    """Give the content of the `wanted` modules and of what they need by name, each after what it needs."""
    order: dict[str, bytes] = {}
    for name in map(_name, wanted):
        for module, content in _with_needs(name, read):
            order.setdefault(module, content)
    return order


def _with_needs(name: str, read: Callable[[str], bytes]) -> Iterator[tuple[str, bytes]]:
    content = read(name)
    for need in depends(content):
        yield from _with_needs(need, read)
    yield name, content


def _name(text: str) -> str:
    return text.replace("-", "_")
