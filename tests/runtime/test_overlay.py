"""Overlays in containers of the real runtimes, by each backend."""

import json

import pytest
from harness import RUNTIMES, Bundle, Host, Result, wait_for

BACKENDS = ("kernel", "fuse")


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_layers_are_merged_and_writes_land_in_upper(
    host: Host, bundle: Bundle, runtime: str, backend: str
) -> None:
    bundle.layer("top", both="top\n", one="1\n")
    bundle.layer("bottom", both="bottom\n", two="2\n")
    for name in ("upper", "work"):
        bundle.layer(name)
    bundle.overlay("lowerdir=top:bottom", "upperdir=upper", "workdir=work")
    bundle.spec["process"]["args"][2] = "cd /ov; cat both one two; rm one; echo new >new; ls"

    result = host.ocishim(runtime, "run", "--overlay", backend, bundle.path)

    assert (result.status, result.out, result.err) == (0, "top\n1\n2\nboth\nnew\ntwo\n", "")
    assert (bundle.directory / "upper/new").read_text() == "new\n"
    assert (bundle.directory / "top/one").read_text() == "1\n"


def test_config_json_stays_as_it_was(host: Host, bundle: Bundle, runtime: str, backend: str) -> None:
    bundle.overlay()
    path = bundle.path
    before = (bundle.directory / "config.json").read_bytes()

    result = host.ocishim(runtime, "run", "--overlay", backend, path)

    assert (0, before) == (result.status, (bundle.directory / "config.json").read_bytes())
    assert sorted(p.name for p in bundle.directory.iterdir()) == [
        "config.json", "lower", "upper", "work-upper",
    ]  # fmt: skip


def test_life_of_a_container_in_single_commands(
    host: Host, bundle: Bundle, runtime: str, backend: str
) -> None:
    bundle.layer("lower", file="x\n")
    bundle.overlay()
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    name = host.id(runtime)

    create = ("--overlay", backend, "create", "--bundle", bundle.path, name)
    assert Result(0, "", "") == host.ocishim(runtime, *create, detached=True)
    assert Result(0, "", "") == host.ocishim(runtime, "start", name, detached=True)
    assert Result(0, "x\n", "") == host.ocishim(runtime, "exec", name, "cat", "/ov/file")
    assert Result(0, "", "") == host.ocishim(runtime, "exec", name, "sh", "-c", "echo y >/ov/y")
    assert (bundle.directory / "upper/y").read_text() == "y\n"
    state = json.loads(host.ocishim(runtime, "state", name).out)
    assert ("running", bundle.path) == (state["status"], state["bundle"])
    assert host.ocishim(runtime, "kill", name, "KILL").status == 0
    assert wait_for(lambda: host.ocishim(runtime, "delete", name).status == 0)
    assert host.ocishim(runtime, "state", name).status != 0


def test_a_running_container_is_deleted_by_force(
    host: Host, bundle: Bundle, runtime: str, backend: str
) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    name = host.id(runtime)
    host.ocishim(
        runtime, "--overlay", backend, "run", "--detach", "--bundle", bundle.path, name, detached=True
    )

    result = host.ocishim(runtime, "delete", "--force", name)

    assert Result(0, "", "") == result
    assert host.wait_until_nothing_is_left() == []
