"""What a directory holds, as a plain dict: how layers are described, merged, written, read back, compared."""

import os
import pathlib
from collections.abc import Iterator, Sequence

#: bytes is a file, str a symbolic link, None a directory. Keys are relative paths.
Tree = dict[str, bytes | str | None]


def merge(layers: Sequence[Tree]) -> Tree:
    """Give the union of layers, top → bottom: directories merge, of all else the topmost is seen."""
    merged: Tree = {}
    closed: set[str] = set()  # what some layer so far has as a file: nothing below it is seen from here on
    for layer in layers:
        seen = {
            path: node
            for path, node in layer.items()
            if path not in merged and not closed.intersection(parents(path))
        }
        closed.update(path for path, node in layer.items() if node is not None)
        merged.update(seen)
    return merged


def parents(path: str) -> Iterator[str]:
    """Give the directories that a path lies in, the innermost first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def write(tree: Tree, directory: str | os.PathLike[str]) -> None:
    """Write it into a directory that is there; a file that starts as a program does is made one."""
    place = pathlib.Path(directory)
    for path, node in sorted(tree.items()):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        if node is None:
            (place / path).mkdir(exist_ok=True)
        elif isinstance(node, str):
            (place / path).symlink_to(node)
        else:
            (place / path).write_bytes(node)
            (place / path).chmod(0o755 if node[:4] == b"\x7fELF" else 0o644)


def read(directory: str, without: str = "") -> Tree:
    """Read it back, but for one directory at its top. Raises OSError with what cannot be listed or read."""
    found: Tree = {}

    def raise_(error: OSError) -> None:
        raise error

    for place, directories, files in os.walk(directory, onerror=raise_):
        if place == directory and without in directories:
            found[without] = None
            directories.remove(without)
        for name in (*directories, *files):
            path = os.path.join(place, name)
            key = os.path.relpath(path, directory)
            if os.path.islink(path):
                found[key] = os.readlink(path)
            elif name in directories:
                found[key] = None
            else:
                with open(path, "rb") as file:
                    found[key] = file.read()
    return found


def difference(expected: Tree, found: Tree) -> str:
    """Say in a few words how two trees differ; "" where they do not."""
    said = [
        *(f"{path} is missing" for path in sorted(expected.keys() - found.keys())),
        *(f"{path} is there" for path in sorted(found.keys() - expected.keys())),
    ]
    said += [
        f"{path} is {_shown(found[path])}, not {_shown(expected[path])}"
        for path in sorted(expected.keys() & found.keys())
        if expected[path] != found[path]
    ]
    return ", ".join(said[:4]) + (f", and {len(said) - 4} more" if len(said) > 4 else "")


def remove(tree: Tree, path: str) -> None:
    """Take a path and all below it out."""
    for each in [key for key in tree if key == path or key.startswith(f"{path}/")]:
        del tree[each]


def rename(tree: Tree, old: str, new: str) -> None:
    """Move a path and all below it, over what has the new name."""
    moved = {new + key[len(old) :]: node for key, node in tree.items() if (key + "/").startswith(old + "/")}
    remove(tree, old)
    remove(tree, new)
    tree.update(moved)


def _shown(node: bytes | str | None) -> str:
    if node is None:
        return "a directory"
    if isinstance(node, str):
        return f"a link to {node}"
    if node and not node.strip(b"\0"):
        return f"{len(node)} zeros"
    return f"{len(node)} bytes" if len(node) > 20 else repr(node)
