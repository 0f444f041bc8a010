"""`ocishim plan`: what it says of a bundle, and that it does nothing."""

import json
import pathlib
from typing import Any

import jsonschema
import pytest
from harness import OCISHIM, ROOT, STAGE, Bundle, Host, Result

SCHEMA = json.loads((ROOT / "schemas/plan.schema.json").read_text())


def plan(host: Host, bundle: Bundle, *words: str, runtime: str = "runc") -> Result:
    return host.run("runc", [OCISHIM, "plan", "--runtime", host.path(runtime), *words, bundle.path])


def document(host: Host, bundle: Bundle, *words: str, runtime: str = "runc") -> Any:
    result = plan(host, bundle, "--format", "json", *words, runtime=runtime)
    assert (result.status, result.err) == (0, "")
    found = json.loads(result.out)
    jsonschema.validate(found, SCHEMA, cls=jsonschema.Draft202012Validator)
    return found


@pytest.fixture
def layered(bundle: Bundle) -> Bundle:
    for name in ("top", "bottom", "upper", "work"):
        bundle.layer(name)
    bundle.overlay("lowerdir=top:bottom", "upperdir=upper", "workdir=work", "xino=off", "nosuid")
    return bundle


def test_the_plan_of_an_overlay(host: Host, layered: Bundle) -> None:
    found = document(host, layered)

    directory = layered.directory
    [mount] = found["mounts"]
    assert mount == {
        "index": 1,
        "destination": "/ov",
        "read_only": False,
        "layers": [
            {"role": "upperdir", "path": f"{directory}/upper"},
            {"role": "lowerdir", "path": f"{directory}/top"},
            {"role": "lowerdir", "path": f"{directory}/bottom"},
            {"role": "workdir", "path": f"{directory}/work"},
        ],
        "candidates": [{"backend": "kernel", "rejected": ""}, {"backend": "fuse", "rejected": ""}],
        "options": {"kernel": ["xino=off"], "fuse": []},
        "flags": ["nosuid"],
        "mounted_on": f"{STAGE}/1",
    }
    assert found["runtime"] == {"path": host.path("runc"), "kind": "runc"}
    assert found["exec"][:4] == [host.path("runc"), "run", "--bundle", str(directory)]
    assert found["exec"][4].startswith("bundle-")
    assert [line for line in found["config"]["diff"] if line[0] == "+"] == [
        '+   "type": "bind",',
        f'+   "source": "{STAGE}/1",',
        '+   "options": ["rbind","nosuid"]',
    ]


@pytest.mark.parametrize(
    ("mode", "option", "candidates"),
    [
        ("auto", "index=on", [("kernel", ""), ("fuse", "index=on: fuse-overlayfs cannot do it")]),
        ("kernel", "volatile", [("kernel", "")]),
        ("fuse", "volatile", [("fuse", "")]),
    ],
)
def test_candidates_and_why_one_is_rejected(
    host: Host, layered: Bundle, mode: str, option: str, candidates: list[tuple[str, str]]
) -> None:
    layered.spec["mounts"][1]["options"].append(option)

    [mount] = document(host, layered, "--overlay", mode)["mounts"]

    assert [(each["backend"], each["rejected"]) for each in mount["candidates"]] == candidates


def test_runsc_gets_a_whole_path_and_its_fixed_arguments(host: Host, layered: Bundle) -> None:
    found = document(host, layered, runtime="runsc")

    words = [host.path("runsc"), "--network=none", "run", "--bundle", str(layered.directory)]
    assert (found["exec"][:5], found["mounts"][0]["options"]["fuse"]) == (words, ["writeback=0"])


def test_a_bundle_without_overlays_stays_as_it_is(host: Host, bundle: Bundle) -> None:
    found = document(host, bundle)

    assert (found["mounts"], found["config"]["diff"]) == ([], [])


def test_text_for_people(host: Host, layered: Bundle) -> None:
    result = plan(host, layered)

    directory = layered.directory
    assert result.status == 0
    assert result.out.split("\n\n")[1].splitlines() == [
        "mounts[1]  /ov",
        f"  upperdir  {directory}/upper",
        f"  lowerdir  {directory}/top",
        f"            {directory}/bottom",
        f"  workdir   {directory}/work",
        "  mounted   by the kernel, or by fuse-overlayfs if the kernel refuses",
        "  options   xino=off, nosuid",
    ]


def test_what_would_be_refused_is_refused_in_the_same_words(host: Host, layered: Bundle) -> None:
    layered.spec["mounts"][1]["options"].append("upperdir=other")

    planned = plan(host, layered)
    ran = host.ocishim("runc", "run", layered.path)

    assert planned == ran
    assert planned == Result(1, "", "ocishim: mounts[1].options[5]: second upperdir; keep one of the two\n")


def test_a_plan_changes_nothing(host: Host, layered: Bundle, tmp_path: pathlib.Path) -> None:
    path = layered.path
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}

    assert host.run("runc", [OCISHIM, "plan", "--runtime", host.path("runc"), path]).status == 0

    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_name_without_a_slash_is_a_bundle_too(host: Host, layered: Bundle) -> None:
    assert layered.path
    words = ["plan", "--runtime", host.path("runc"), "--format", "json", layered.directory.name]

    result = host.run("runc", [OCISHIM, *words], cwd=layered.directory.parent)

    assert json.loads(result.out)["bundle"] == str(layered.directory)
