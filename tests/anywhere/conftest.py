"""Fixtures of the tests that need no root: each may run as root, as an ordinary user, under `unshare -r`."""

import pathlib
import tempfile
from collections.abc import Iterator

import pytest
from anywhere.people import BACKENDS, WHO, OwnBundle, Person
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
def directory() -> pathlib.Path:
    """Make the test's directory; pytest's own are root's alone."""
    return pathlib.Path(tempfile.mkdtemp(prefix="ocishim-t", dir="/tmp"))


@pytest.fixture
def person(directory: pathlib.Path, who: str) -> Iterator[Person]:
    """Run commands as somebody; afterwards nothing of them may be left on the host."""
    yield from run_as(Person(directory, who))


def run_as(person: Person) -> Iterator[Person]:
    """Lend a person, and look after them."""
    try:
        yield person
        person.end()
        assert person.wait_until_nothing_is_left() == []
    finally:
        person.remove()


@pytest.fixture
def bundle(person: Person) -> OwnBundle:
    """Make a bundle of that person's."""
    return OwnBundle(person, person.directory / "bundle")
