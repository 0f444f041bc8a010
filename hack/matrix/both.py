"""A mounted overlay and the model of what must be in it: each operation is done to both."""

import os
import shutil

from . import trees
from .trees import Tree


class WrongError(Exception):
    """The overlay does not hold what it must."""


class Both:
    """Operations on paths below `place`; each leaves the model as the overlay must be. They raise OSError.

    What is below `unjudged` is not looked at.
    """

    def __init__(self, place: str, model: Tree, unjudged: str = "") -> None:
        self._place = place
        self._unjudged = unjudged
        self.model = dict(model)

    def has(self, path: str) -> bool:
        """Tell whether the model has a path."""
        return path in self.model

    def at(self, path: str) -> str:
        """Give the path in the overlay."""
        return os.path.join(self._place, path)

    def write(self, path: str, content: bytes) -> None:
        """Make a file, or replace its content."""
        with open(self.at(path), "wb") as file:
            file.write(content)
        self.model[path] = content

    def append(self, path: str, content: bytes) -> None:
        """Append to a file, and read it back."""
        with open(self.at(path), "ab") as file:
            file.write(content)
        before = self.model[path]
        assert isinstance(before, bytes)
        self.model[path] = before + content
        self.check_file(path)

    def truncate(self, path: str, size: int) -> None:
        """Cut a file."""
        os.truncate(self.at(path), size)
        before = self.model[path]
        assert isinstance(before, bytes)
        self.model[path] = before[:size]
        self.check_file(path)

    def unlink(self, path: str) -> None:
        """Remove a file; it may no longer be listed."""
        os.unlink(self.at(path))
        trees.remove(self.model, path)
        self.check_names(os.path.dirname(path))

    def remove(self, path: str) -> None:
        """Remove a directory and all below it."""
        shutil.rmtree(self.at(path))
        trees.remove(self.model, path)

    def make(self, path: str) -> None:
        """Make a directory, which must be empty."""
        os.mkdir(self.at(path))
        self.model[path] = None
        self.check_names(path)

    def rename(self, old: str, new: str) -> None:
        """Rename."""
        os.rename(self.at(old), self.at(new))
        trees.rename(self.model, old, new)
        self.check_names(os.path.dirname(new))

    def link(self, old: str, new: str) -> None:
        """Give a file a second name."""
        os.link(self.at(old), self.at(new))
        self.model[new] = self.model[old]
        self.check_file(new)

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link."""
        os.symlink(target, self.at(path))
        self.model[path] = target

    def check_file(self, path: str) -> None:
        """Compare one file. Raises WrongError."""
        with open(self.at(path), "rb") as file:
            found = file.read()
        if wrong := trees.difference({path: self.model[path]}, {path: found}):
            raise WrongError(wrong)

    def check_names(self, directory: str = "") -> None:
        """Compare what a directory lists. Raises WrongError."""
        prefix = f"{directory}/" if directory else ""
        expected: Tree = {
            path: None
            for path in self.model
            if path.startswith(prefix) and "/" not in path[len(prefix) :] and path != directory
        }
        found: Tree = {prefix + name: None for name in os.listdir(self.at(directory))}
        if wrong := trees.difference(expected, found):
            raise WrongError(wrong)

    def check(self) -> None:
        """Compare everything. Raises WrongError."""
        if wrong := trees.difference(self.model, trees.read(self._place, self._unjudged)):
            raise WrongError(wrong)
