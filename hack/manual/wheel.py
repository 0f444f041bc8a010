"""Puts the man pages into the wheel, made at that moment: none is kept in git, or can be old there."""

import pathlib
import sys
import tempfile
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Manual(BuildHookInterface):  # type: ignore[type-arg]  # older hatchling has nothing to put into brackets
    """Makes the pages in a directory of its own, which goes with the build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add share/man/man1, but for an editable install."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from hack.manual import write
        from ocishim import __version__
        from ocishim.cli.main import ocishim

        self.pages = tempfile.TemporaryDirectory()
        for page in write(pathlib.Path(self.pages.name), ocishim, __version__):
            build_data["shared_data"][str(page)] = f"share/man/man1/{page.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the pages."""
        if version != "editable":
            self.pages.cleanup()
