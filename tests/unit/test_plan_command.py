"""`ocishim plan`: what it says of a bundle, and that it does nothing."""

import copy
import json
import pathlib
from collections.abc import Callable
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
        "id_mappings": None,
        "backend": "kernel",
        "candidates": [
            {
                "backend": "kernel",
                "for": ["no process to run, no copies through one"],
                "against": [],
                "rejected": "",
                "findings": [],
            },
            {
                "backend": "fuse",
                "for": [],
                "against": ["slower: a process answers for each file"],
                "rejected": "",
                "findings": [],
            },
        ],
        "options": {"kernel": ["xino=off"], "fuse": []},
        "added": [],
        "flags": ["nosuid"],
        "mounted_on": f"{STAGE}/1",
        "writers": {},
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
    ("mode", "option", "backend", "candidates"),
    [
        ("auto", "index=on", "kernel",
         [("kernel", "", []), ("fuse", "index=on, which fuse-overlayfs cannot do", ["OVL-OPT-20"])]),
        ("kernel", "volatile", "kernel", [("kernel", "", [])]),
        ("fuse", "volatile", "fuse", [("fuse", "", [])]),
    ],
)  # fmt: skip
def test_candidates_and_why_one_is_rejected(
    host: Host,
    layered: Bundle,
    mode: str,
    option: str,
    backend: str,
    candidates: list[tuple[str, str, list[str]]],
) -> None:
    layered.spec["mounts"][1]["options"].append(option)

    [mount] = document(host, layered, "--overlay", mode)["mounts"]

    found = [(each["backend"], each["rejected"], each["findings"]) for each in mount["candidates"]]
    assert (backend, candidates) == (mount["backend"], found)


def test_a_candidate_that_fails_in_its_trial_says_why(host: Host, layered: Bundle) -> None:
    """As if the kernel had no overlayfs."""
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsopen"]
    strace += ["-e", "inject=fsopen:error=ENODEV"]
    words = ["plan", "--runtime", host.path("runc"), "--format", "json", layered.path]

    result = host.run("runc", [*strace, str(OCISHIM), *words])

    [mount] = json.loads(result.out)["mounts"]
    [kernel, fuse] = mount["candidates"]
    assert (mount["backend"], kernel["findings"], fuse["rejected"]) == ("fuse", ["OVL-KRN-01"], "")
    assert " has no overlay file system: it is neither built in nor can it be loaded " in kernel["rejected"]


def test_an_option_that_is_added_says_why(host: Host, layered: Bundle) -> None:
    layered.spec["mounts"][1]["options"] = ["lowerdir=top"]

    [mount] = document(host, layered)["mounts"]

    why = "a second, empty lower layer is added, as the kernel wants two"
    assert (mount["options"]["kernel"], mount["added"]) == (
        ["xino=auto"],
        [{"option": "xino=auto", "why": why}],
    )


@pytest.mark.parametrize(("annotation", "backend"), [("/ov=fuse", "fuse"), ("/ov=kernel", "kernel")])
def test_an_annotation_leaves_one_candidate(
    host: Host, layered: Bundle, annotation: str, backend: str
) -> None:
    layered.spec["annotations"] = {"dev.ocishim/backend": annotation}

    [mount] = document(host, layered)["mounts"]

    assert (mount["backend"], [each["backend"] for each in mount["candidates"]]) == (backend, [backend])


#: What a program that reads plans may rely on: each of these changes makes a plan invalid.
WRONG: list[Callable[[dict[str, Any]], object]] = [
    lambda mount: mount.pop("backend"),
    lambda mount: mount.pop("added"),
    lambda mount: mount.pop("options"),
    lambda mount: mount.update(backend="auto"),
    lambda mount: mount.update(more=1),
    lambda mount: mount.update(candidates=[]),
    lambda mount: mount["candidates"][0].pop("for"),
    lambda mount: mount["candidates"][0].pop("against"),
    lambda mount: mount["candidates"][0].pop("findings"),
    lambda mount: mount["candidates"][0].update(more=1),
    lambda mount: mount["candidates"][0].update(findings=["UPP-1"]),
    lambda mount: mount["options"].update(other=[]),
    lambda mount: mount["options"].update(kernel=["a b"]),
    lambda mount: mount["added"].append("xino=auto"),
    lambda mount: mount["added"].append({"option": "xino=auto"}),
    lambda mount: mount["added"].append({"option": "xino=auto", "why": "", "more": ""}),
]


def test_the_schema_is_strict(host: Host, layered: Bundle) -> None:
    found = document(host, layered)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    taken = []
    for number, change in enumerate(WRONG):
        wrong = copy.deepcopy(found)
        change(wrong["mounts"][0])
        if validator.is_valid(wrong):
            taken.append(number)

    assert taken == []


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
        "  mounted   by the kernel: a trial went well; no process to run, no copies",
        "            through one",
        "  options   xino=off",
        "            nosuid",
        "  not       by fuse-overlayfs: slower: a process answers for each file; not",
        "            needed",
    ]


def test_text_says_what_was_added_and_what_cannot_be(host: Host, layered: Bundle) -> None:
    layered.spec["mounts"][1]["options"] = ["lowerdir=top", "redirect_dir=on"]

    result = plan(host, layered)

    assert result.status == 0
    assert result.out.split("\n\n")[1].splitlines() == [
        "mounts[1]  /ov",
        f"  lowerdir  {layered.directory}/top",
        "  mounted   by the kernel: a trial went well; no process to run, no copies",
        "            through one",
        "  options   redirect_dir=on",
        "            xino=auto  (a second, empty lower layer is added, as the kernel",
        "            wants two)",
        "  not       by fuse-overlayfs: redirect_dir=on, which fuse-overlayfs cannot do",
        "            (OVL-OPT-20)",
        "  writes    refused: read-only",
    ]


def test_what_would_be_refused_is_refused_in_the_same_words(host: Host, layered: Bundle) -> None:
    layered.spec["mounts"][1]["options"].append("upperdir=other")

    planned = plan(host, layered)
    ran = host.ocishim("runc", "run", layered.path)

    assert planned == ran
    assert planned == Result(1, "", "ocishim: mounts[1].options[5]: second upperdir; keep one of the two\n")


def test_a_plan_changes_nothing(host: Host, layered: Bundle, tmp_path: pathlib.Path) -> None:
    path = layered.path
    work = layered.directory / "work"
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path != work}

    assert host.run("runc", [OCISHIM, "plan", "--runtime", host.path("runc"), path]).status == 0

    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path != work} == before


def test_a_name_without_a_slash_is_a_bundle_too(host: Host, layered: Bundle) -> None:
    assert layered.path
    words = ["plan", "--runtime", host.path("runc"), "--format", "json", layered.directory.name]

    result = host.run("runc", [OCISHIM, *words], cwd=layered.directory.parent)

    assert json.loads(result.out)["bundle"] == str(layered.directory)


def test_whose_files_the_layers_become(host: Host, layered: Bundle) -> None:
    [entry] = layered.spec["mounts"][1:]
    entry["uidMappings"] = [
        {"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 1000, "hostID": 1, "size": 10},
    ]  # fmt: skip
    entry["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]

    [mount] = document(host, layered)["mounts"]
    text = plan(host, layered).out

    assert mount["id_mappings"] == {"uid": entry["uidMappings"], "gid": entry["gidMappings"]}
    assert [line for line in text.splitlines() if "of the layers" in line] == [
        "  owners    uid 0 of the layers is 0",
        "            uid 1000-1009 of the layers are 1-10",
        "            gid 0 of the layers is 0",
    ]
