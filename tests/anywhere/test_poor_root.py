"""Root without CAP_SYS_ADMIN, as in many a container: it needs a user namespace as an ordinary user does."""

import contextlib
import json
import os
import pathlib
import signal
from collections.abc import Iterator

import pytest
from anywhere.people import OwnBundle, Person, lend
from harness import OCISHIM, Result


@pytest.fixture
def person(directory: pathlib.Path) -> Iterator[Person]:
    for person in lend(directory, "root"):
        person.become = ["setpriv", "--bounding-set=-sys_admin"]
        yield person


def test_a_container_s_life_in_single_commands(person: Person, bundle: OwnBundle, runtime: str) -> None:
    """Its state is where a runtime has it as root, so that each command finds it."""
    bundle.overlay()
    init = person.directory / "pid"
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    name = person.id(runtime)

    def do(*words: str) -> Result:
        return person.run(runtime, [OCISHIM, "--runtime", runtime, *words], detached=True)

    words = ("run", "--detach", "--pid-file", str(init), "--bundle", bundle.path, name)
    assert do(*words) == Result(0, "", "")
    try:
        assert pathlib.Path("/run", runtime).is_dir()
        assert json.loads(do("state", name).out)["status"] == "running"
        assert do("exec", name, "touch", "/ov/new") == Result(0, "", "")
        assert do("kill", name, "KILL") == Result(0, "", "")
        assert do("delete", "--force", name) == Result(0, "", "")
    except AssertionError:  # nobody else knows of it
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(init.read_text()), signal.SIGKILL)
        raise
    assert [each.name for each in (bundle.directory / "upper").iterdir()] == ["new"]
