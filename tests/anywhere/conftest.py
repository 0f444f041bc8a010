"""Fixtures of the tests that need no root: each may run as root, as an ordinary user, under `unshare -r`."""

import pathlib
from collections.abc import Iterator

import pytest
from anywhere.people import BACKENDS, WHO, OwnBundle, Person, lend
from harness import RUNTIMES


@pytest.fixture(params=WHO)
def who(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def person(directory: pathlib.Path, who: str) -> Iterator[Person]:
    """Run commands as somebody; afterwards nothing of them may be left on the host."""
    yield from lend(directory, who)


@pytest.fixture
def bundle(person: Person) -> OwnBundle:
    """Make a bundle of that person's."""
    return OwnBundle(person, person.directory / "bundle")
