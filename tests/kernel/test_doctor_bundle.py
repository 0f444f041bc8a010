"""`ocishim doctor BUNDLE`: real layers, their facts, and a verdict on each overlay."""

import json
import pathlib
from typing import Any

import jsonschema
import pytest
from harness import OCISHIM, ROOT, Bundle, Host, Result

SCHEMA = json.loads((ROOT / "schemas/facts.schema.json").read_text())


def doctor(host: Host, bundle: Bundle, *words: str, before: str = "") -> Result:
    """Run doctor on a bundle, in a mount namespace of its own after a shell's commands there."""
    script = before + '\nexec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", str(OCISHIM), "doctor"]
    return host.run("runc", [*argv, bundle.path, *words])


def facts(host: Host, bundle: Bundle, *words: str, before: str = "") -> tuple[int, dict[str, Any]]:
    """Give the exit status and what is known of the bundle, valid by the schema."""
    result = doctor(host, bundle, "--format", "json", *words, before=before)
    document = json.loads(result.out)
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    return result.status, document["bundle"]


def verdicts(result: Result) -> list[str]:
    """Give the last part of the text: the verdicts on the bundle."""
    return result.out.strip().split("\n\n")[-1].splitlines()


@pytest.fixture
def bundle(bundle: Bundle) -> Bundle:
    """Give a bundle with one good overlay."""
    bundle.layer("lower", file="lower\n")
    bundle.overlay()
    return bundle


def test_a_good_bundle(host: Host, bundle: Bundle) -> None:
    result = doctor(host, bundle)

    assert (result.status, result.err) == (0, "")
    assert verdicts(result)[-1] == "  ok  mounts[1] on /ov: mounted by the kernel"
    assert max(map(len, result.out.replace(str(bundle.directory), "").splitlines())) <= 80


def test_what_is_known_of_the_layers(host: Host, bundle: Bundle) -> None:
    d = bundle.directory
    before = f"mount -t tmpfs -o size=8m,noexec t {d}/upper && mkdir {d}/upper/u {d}/upper/w {d}/lower/in && \
        mount -t tmpfs t {d}/lower/in"
    bundle.spec["mounts"][1]["options"] = ["lowerdir=lower", "upperdir=upper/u", "workdir=upper/w"]

    status, found = facts(host, bundle, before=before)

    upper, work, lower = found["mounts"][0]["layers"]
    assert status == 0
    assert [layer["role"] for layer in (upper, work, lower)] == ["upperdir", "workdir", "lowerdir"]
    assert (upper["kind"], upper["mount_point"], upper["written"]) == ("tmpfs", f"{d}/upper", "upper/u")
    assert "noexec" in upper["options"].split(",")
    assert "size=8192k" in upper["super_options"].split(",")
    assert 0 < upper["free"] <= 8 << 20
    assert set(work["abilities"].values()) == {""}
    assert lower["submounts"] == [f"{d}/lower/in"]
    assert found["mounts"][0]["backend"] == "kernel"


def test_warnings_stop_nothing(host: Host, bundle: Bundle) -> None:
    d = bundle.directory
    before = f"mount -t tmpfs -o size=8m,noexec t {d}/upper && mkdir {d}/upper/u {d}/upper/w {d}/lower/in && \
        mount -t tmpfs t {d}/lower/in"
    bundle.spec["mounts"][1]["options"] = ["lowerdir=lower", "upperdir=upper/u", "workdir=upper/w"]

    result = doctor(host, bundle, before=before)

    assert result.status == 0
    for page in ("OVL-LOW-03", "OVL-LOW-15", "OVL-UNS-09", "OVL-UPP-12"):
        assert f"ocishim explain {page}" in result.out


def test_each_overlay_has_a_verdict_and_one_refusal_is_a_refusal(host: Host, bundle: Bundle) -> None:
    bundle.overlay("lowerdir=lower:missing", destination="/second")
    bundle.overlay("lowerdir=lower", "upperdir=u3", "workdir=w3", destination="/third")
    bundle.layer("u3/sub")
    bundle.layer("lower/sub", gone="")
    (bundle.directory / "u3/sub/.wh.gone").touch()
    bundle.layer("w3")

    status, found = facts(host, bundle)

    assert status == 1
    assert [(each["destination"], each["backend"], each["page"]) for each in found["mounts"]] == [
        ("/ov", "kernel", ""),
        ("/second", "", "OVL-LOW-21"),
        ("/third", "fuse", ""),
    ]
    assert found["mounts"][2]["candidates"][0]["page"] == "OVL-FUS-13"
    assert found["mounts"][2]["layers"][0]["marks"] == [f".wh.gone in {bundle.directory}/u3/sub/.wh.gone"]


def test_overlays_that_disturb_each_other(host: Host, bundle: Bundle) -> None:
    bundle.overlay(destination="/second")

    result = doctor(host, bundle)

    assert result.status == 1
    assert "mounts[1] writes" in " ".join(result.out.split()) or "OVL-RUN-16" in result.out


def test_a_refusal_has_the_words_of_run(host: Host, bundle: Bundle) -> None:
    bundle.spec["mounts"][1]["options"] = ["lowerdir=lower", "upperdir=lower/file", "workdir=work-upper"]

    said = host.ocishim("runc", "run", "--bundle", bundle.path, host.id("runc")).err
    [mount] = facts(host, bundle)[1]["mounts"]

    assert said == (f"ocishim: {mount['refused']}; {mount['remedy']}; ocishim explain {mount['page']}\n")


def test_nothing_of_it_stays(host: Host, bundle: Bundle) -> None:
    before = sorted(path for path in pathlib.Path(bundle.path).rglob("*"))

    doctor(host, bundle)

    assert sorted(path for path in bundle.directory.rglob("*")) == before
    assert host.wait_until_nothing_is_left() == []


def test_facts_of_a_bundle_are_judged_elsewhere(host: Host, bundle: Bundle, tmp_path: pathlib.Path) -> None:
    bundle.overlay("lowerdir=lower:missing", destination="/second")
    here = doctor(host, bundle)
    file = tmp_path / "facts.json"
    file.write_text(doctor(host, bundle, "--format", "json").out)

    there = host.run("runc", [OCISHIM, "doctor", "--facts", file])

    assert (there.status, verdicts(there)) == (here.status, verdicts(here))


def test_redacted_it_names_no_path_of_the_user(host: Host, bundle: Bundle) -> None:
    bundle.overlay("lowerdir=lower:missing", destination="/second")

    for form in ("text", "html", "json"):
        out = " ".join(doctor(host, bundle, "--redact", "--format", form).out.split())

        assert str(bundle.directory) not in out
        assert bundle.directory.parent.name not in out


def test_a_bundle_and_facts_are_one_too_many(host: Host, bundle: Bundle, tmp_path: pathlib.Path) -> None:
    (tmp_path / "facts.json").write_text("{}")

    result = doctor(host, bundle, "--facts", str(tmp_path / "facts.json"))

    assert result == Result(
        2, "", "ocishim: a BUNDLE and --facts: the facts of a bundle are in the file; leave out one\n"
    )


def test_which_layers_cannot_be_idmapped(host: Host, bundle: Bundle) -> None:
    d, [entry] = bundle.directory, bundle.spec["mounts"][1:]
    entry["uidMappings"] = entry["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
    entry["options"][0] = "lowerdir=lower:ram:proc"
    bundle.layer("ram")
    bundle.layer("proc")
    before = f"mount -t ramfs r {d}/ram; mount -t proc p {d}/proc"

    status, found = facts(host, bundle, before=before)
    text = doctor(host, bundle, before=before).out

    its = {layer["path"].rpartition("/")[2]: layer["idmap"] for layer in found["mounts"][0]["layers"]}
    assert (status, its) == (
        1,
        {"upper": "", "work-upper": "", "lower": "", "ram": "EINVAL", "proc": "EINVAL"},
    )
    assert found["mounts"][0]["page"] == "OVL-UNS-04"
    said = " ".join(text.split())
    assert f"lowerdir={d}/ram: it cannot be idmapped (EINVAL from mount_setattr)" in said
    assert f"lowerdir={d}/proc: it cannot be idmapped (EINVAL from mount_setattr)" in said
    assert text.count("it cannot be idmapped") == 2
