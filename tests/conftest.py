"""Fixtures that tests of all layers share."""

import os
import pathlib
import tempfile
from collections.abc import Iterator

import account
import pytest
from harness import Bundle, Host


def pytest_configure(config: pytest.Config) -> None:
    """Make the ordinary user of the tests, in the process that starts them all."""
    if not hasattr(config, "workerinput") and not config.option.collectonly and os.geteuid() == 0:
        account.make()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove that user."""
    if not hasattr(config, "workerinput") and account.VARIABLE in os.environ:
        account.remove()


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Iterator[Host]:
    """Run commands; afterwards nothing of them may be left on the host."""
    host = Host(tmp_path)
    yield host
    host.end()
    assert host.wait_until_nothing_is_left() == []


@pytest.fixture
def bundle(tmp_path: pathlib.Path) -> Bundle:
    """Make a bundle."""
    return Bundle(tmp_path / "bundle")


@pytest.fixture
def directory() -> pathlib.Path:
    """Make a directory that a test may give to somebody; pytest's own are root's alone."""
    return pathlib.Path(tempfile.mkdtemp(prefix="ocishim-t", dir="/tmp"))
