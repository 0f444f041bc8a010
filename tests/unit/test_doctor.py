"""What `ocishim doctor` makes of the facts of a host; facts/ holds what it printed on real ones."""

import copy
import dataclasses
import json
from typing import Any

import jsonschema
import pytest
from harness import ROOT

from ocishim import findings, tried
from ocishim.cli.doctor import report_on
from ocishim.probe import facts as known
from ocishim.probe import host, scratch
from ocishim.report import Line, Report

SCHEMA = json.loads((ROOT / "schemas/facts.schema.json").read_text())
RECORDED = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "tests/unit/facts").glob("*.json"))
}
REFUSED = {"result": "no", "step": "unshare(CLONE_NEWUSER)", "errno": "EPERM", "said": ""}
UNKNOWN = {"result": "unknown", "step": "", "errno": "", "said": ""}
GONE = {
    "name": "runc", "path": "", "kind": "", "version": "", "problem": "gone", "oci": [], "mount_options": [],
}  # fmt: skip
ORDINARY = "in an ordinary user's user namespace by the kernel"


def changed(name: str, **changes: object) -> dict[str, Any]:
    """Give recorded facts with other values: `userns__by_inode=False`."""
    document: dict[str, Any] = copy.deepcopy(RECORDED[name])
    for path, value in changes.items():
        *parents, last = path.split("__")
        inner = document
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    return document


def judged(document: dict[str, Any]) -> Report:
    """Judge facts, which must be valid."""
    jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)
    return report_on(known.load(json.dumps(document)))


def lines(report: Report) -> list[Line]:
    """Give all lines and verdicts."""
    return [line for section in report.sections.values() for line in section] + [
        verdict.line for verdict in report.verdicts
    ]


@pytest.mark.parametrize(
    ("name", "status", "verdicts"),
    [
        ("5.10", 0, ["ok", "no", "ok", "ok", "ok", "ok"]),  # no overlays in user namespaces before 5.11
        ("6.1", 0, ["ok", "?", "ok", "ok", "ok", "ok"]),  # tmpfs has no user xattrs before 6.6
        ("6.1-no-modules", 1, ["no", "no", "no", "no", "no", "no"]),
        ("6.18", 0, ["ok", "ok", "ok", "ok", "ok", "ok"]),
        ("6.18-user", 1, ["ok", "no", "ok", "ok", "ok"]),
        ("6.18-userns", 0, ["ok", "ok", "ok", "ok", "ok", "ok"]),
        ("zfs-2.1", 0, ["ok", "?", "ok", "ok", "ok", "ok", "ok", "ok"]),  # and two overlays of a bundle
        ("zfs-2.3", 0, ["ok", "?", "ok", "ok", "ok", "ok", "ok", "ok"]),
    ],
)
def test_what_can_be_run_on_a_recorded_host(name: str, status: int, verdicts: list[str]) -> None:
    report = judged(RECORDED[name])

    assert (report.status, [verdict.line.mark for verdict in report.verdicts]) == (status, verdicts)


@pytest.mark.parametrize(
    ("name", "what", "mark", "page"),
    [
        ("5.10", "userxattr", "no", "OVL-KRN-03"),
        ("5.10", "layers one by one (lowerdir+)", "no", "OVL-KRN-19"),
        ("5.10", "layers as descriptors", "no", "OVL-KRN-19"),
        ("5.10", "data-only lower layers", "no", "OVL-OPT-08"),
        ("5.10", "verity=on", "no", "OVL-OPT-25"),
        ("5.10", "an overlay made in one, with userxattr", "no", "OVL-KRN-02"),
        ("5.10", ORDINARY, "no", "OVL-KRN-02"),
        ("5.10", "idmapped layers", "no", "OVL-UNS-03"),
        ("5.10", "an overlay by fuse-overlayfs", "ok", ""),
        ("6.1", "idmapped layers", "?", ""),
        ("6.1", "userxattr", "ok", ""),
        ("6.1", "a container's work on it", "ok", ""),
        ("6.1", "an overlay made in one, with userxattr", "?", "OVL-UPP-05"),
        ("6.1-no-modules", "file system overlay", "no", "OVL-KRN-01"),
        ("6.1-no-modules", "/dev/fuse", "no", "OVL-FUS-01"),
        ("6.18", "an overlay made in one, without userxattr", "no", "OVL-UPP-05"),
        ("6.18", "an overlay made in one, with userxattr", "ok", ""),
        ("6.18", "/usr/bin/fuse-overlayfs 1.10", "?", "OVL-FUS-05"),
        ("6.18-user", "uid 65534: ocishim makes a user namespace to mount in", "ok", ""),
        ("6.18-user", "uid 65534 can map one id only", "?", "OVL-UNS-12"),
        ("6.18-user", "by the kernel, in a user namespace that ocishim makes: work with userxattr", "ok", ""),
        ("6.18-user", "new mount API", "ok", ""),
        ("6.18-user", "/dev/fuse", "no", "OVL-FUS-01"),
        ("6.18-user", "metacopy=on", "no", "OVL-OPT-23"),
        ("6.18-userns", "index=on", "no", "OVL-OPT-22"),
        ("6.18-userns", "this is the initial user namespace", "no", "OVL-UNS-05"),
    ],
)
def test_what_a_recorded_host_can(name: str, what: str, mark: str, page: str) -> None:
    [line] = [line for line in lines(judged(RECORDED[name])) if line.what == what]

    assert (line.mark, line.page) == (mark, page)


#: Changes to the facts of 6.18; a line of the report, its mark, reason and page; the exit status.
OTHER_HOSTS: list[tuple[dict[str, object], str, str, str, str, int]] = [
    (
        {"userns__make": REFUSED, "userns__sysctls": {"kernel.unprivileged_userns_clone": 0}},
        ORDINARY,
        "no", "kernel.unprivileged_userns_clone=0 (EPERM from unshare(CLONE_NEWUSER))", "OVL-KRN-11", 0,
    ),
    (
        {
            "userns__make": {**REFUSED, "errno": "ENOSPC"},
            "userns__sysctls": {"kernel.unprivileged_userns_clone": 1, "user.max_user_namespaces": 0},
        },
        ORDINARY,
        "no", "user.max_user_namespaces=0 (ENOSPC from unshare(CLONE_NEWUSER))", "OVL-KRN-12", 0,
    ),
    (
        {
            "userns__make": {**REFUSED, "errno": "EACCES", "step": "mount"},
            "userns__sysctls": {
                "user.max_user_namespaces": 9, "kernel.apparmor_restrict_unprivileged_userns": 1,
            },
        },
        ORDINARY,
        "no", "kernel.apparmor_restrict_unprivileged_userns=1 (EACCES from mount)", "OVL-KRN-10", 0,
    ),
    (
        {"userns__make": REFUSED, "userns__sysctls": {"user.max_user_namespaces": 9}},
        ORDINARY,
        "no", "EPERM from unshare(CLONE_NEWUSER)", "OVL-KRN-15", 0,
    ),
    (
        {"userns__by_inode": False}, "this is the initial user namespace",
        "?", "the signs disagree: inode no, uid_map yes, trusted xattrs yes", "OVL-UNS-05", 0,
    ),
    (
        {"fuse__device": "ENOENT", "fuse__mount": UNKNOWN}, "by fuse-overlayfs",
        "no", "/dev/fuse: ENOENT from open", "OVL-FUS-01", 1,
    ),
    (
        {"fuse__registered": False, "fuse__module": "", "fuse__device": "ENODEV", "fuse__mount": UNKNOWN},
        "file system fuse",
        "no", "neither in /proc/filesystems nor below /lib/modules", "OVL-FUS-01", 1,
    ),
    (
        {"fuse__registered": False, "fuse__module": "/lib/modules/1/fuse.ko"}, "file system fuse",
        "?", "not registered; /lib/modules/1/fuse.ko is there", "", 0,
    ),
    (
        {"fuse__program": "", "fuse__version": ""}, "by fuse-overlayfs",
        "no", "fuse-overlayfs: neither in PATH nor where the settings say", "OVL-FUS-04", 1,
    ),
    ({"fuse__version": "fuse-overlayfs: version 1.16"}, "/usr/bin/fuse-overlayfs 1.16", "ok", "", "", 0),
    ({"fuse__version": ""}, "/usr/bin/fuse-overlayfs", "?", "it did not tell its version in time", "", 0),
    (
        {"kernel__new_mount_api": {**REFUSED, "step": "fsopen", "errno": "ENOSYS"}},
        "new mount API",
        "no", "ENOSYS from fsopen: mount(2) is used", "OVL-KRN-14", 0,
    ),
    (
        {"overlay__options__data-only": {**REFUSED, "errno": "EINVAL"}}, "data-only lower layers",
        "?", "with metacopy=on only", "OVL-OPT-08", 0,
    ),
    (
        {"overlay__options__volatile": {**REFUSED, "step": "fsconfig volatile", "errno": "EINVAL"}},
        "volatile",
        "no", "EINVAL from fsconfig volatile", "OVL-KRN-04", 0,
    ),
    (
        {"trials": [], "fuse__served": UNKNOWN},
        "under runc",
        "?", "not tried", "", 0,
    ),
    (
        {"runtimes": [GONE]},
        "under runc",
        "no", "gone", "OVL-RUN-09", 1,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "what", "mark", "why", "page", "status"), OTHER_HOSTS)
def test_what_another_host_cannot(
    changes: dict[str, object], what: str, mark: str, why: str, page: str, status: int
) -> None:
    report = judged(changed("6.18", **changes))

    found = [
        (line.mark, line.why, line.page) for line in lines(report) if line.what.partition(": ")[0] == what
    ]
    assert (mark, why, page) in found
    assert report.status == status


def test_a_host_without_overlayfs() -> None:
    no_device = {"result": "no", "step": "fsopen", "errno": "ENODEV", "said": ""}
    document = changed("6.18", overlay__registered=False, overlay__parameters={})
    document["overlay"]["options"] = dict.fromkeys(document["overlay"]["options"], no_device)
    for trial in document["trials"]:
        trial.update(mount=no_device, operations={})

    report = judged(document)

    assert report.status == 1
    assert [line.page for line in report.sections["Overlayfs"]] == ["OVL-KRN-01", "OVL-KRN-01"]
    assert [(verdict.line.mark, verdict.line.page) for verdict in report.verdicts[:3]] == [
        ("no", "OVL-KRN-01"),
        ("no", "OVL-KRN-01"),
        ("ok", ""),
    ]
    assert report.verdicts[3].line.what == "under runc: by fuse-overlayfs"


def test_a_chroot_without_a_mount_point_has_no_overlays_at_all() -> None:
    why = {
        "result": "no",
        "step": "mount",
        "errno": "EINVAL",
        "said": "/ is not a mount point, as in a chroot",
    }
    trial = {"where": "here", "userxattr": False, "mount": why, "operations": {}}

    report = judged(changed("6.18", trials=[trial], overlay__tried="", overlay__options={}))

    assert (report.status, {verdict.line.mark for verdict in report.verdicts[2:]}) == (1, {"no"})


def test_one_runtime_is_enough() -> None:
    document = changed("6.18")
    document["runtimes"][1].update(path="", version="", problem="not installed")

    report = judged(document)

    assert (report.status, report.verdicts[4].line.mark) == (0, "no")


def test_what_could_not_be_tried_is_unsure() -> None:
    document = changed("6.18", trials=[], kernel__new_mount_api=UNKNOWN, userns__make=UNKNOWN)
    document["overlay"].update(tried="", options={})

    assert [verdict.line.mark for verdict in judged(document).verdicts[:3]] == ["?", "?", "ok"]


@pytest.mark.parametrize("name", RECORDED)
def test_every_no_has_a_reason_and_a_page(name: str) -> None:
    for line in lines(judged(RECORDED[name])):
        if line.mark == "no" and "neither the kernel" not in line.why:
            assert line.why, line
            assert line.remedy, line
            assert findings.get(line.page).id == line.page


def test_the_schema_has_the_names_of_the_code() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    properties = SCHEMA["properties"]
    parts = {
        "kernel": known.Kernel, "process": known.Process, "overlay": known.Overlay,
        "userns": known.UserNamespaces, "fuse": known.Fuse,
    }  # fmt: skip

    assert [*properties] == [field.name for field in dataclasses.fields(known.Facts)]
    for name, kind in parts.items():
        assert [*properties[name]["properties"]] == [field.name for field in dataclasses.fields(kind)]
    assert [*properties["overlay"]["properties"]["options"]["properties"]] == [*scratch.OPTIONS]
    assert properties["process"]["properties"]["capabilities"]["items"]["enum"] == [*host.CAPABILITIES]
    assert [*properties["userns"]["properties"]["sysctls"]["properties"]] == [*host.SYSCTLS]
    assert properties["process"]["properties"]["seccomp"]["enum"] == [*host.SECCOMP, ""]
    runtime = properties["runtimes"]["items"]["properties"]
    assert [*runtime] == [field.name for field in dataclasses.fields(known.Runtime)]
    operations = SCHEMA["$defs"]["operations"]["properties"]
    assert [*operations] == [*scratch.OPERATIONS] == [*tried.OPERATIONS]
