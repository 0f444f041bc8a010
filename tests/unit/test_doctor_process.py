"""What `ocishim doctor` makes of who it is, of what fuse-overlayfs did when tried, of idmapped layers."""

import pytest
from unit.test_doctor import RECORDED, UNKNOWN, changed, judged, lines

DEAD = {"result": "no", "step": "the first request", "errno": "ENOTCONN", "said": "cannot open l1"}
LATE = {"result": "no", "step": "the first request", "errno": "ETIMEDOUT", "said": "no answer within 2 s"}
MUTE = {
    "result": "unknown",
    "step": "mount_setattr",
    "errno": "EINVAL",
    "said": "tmpfs cannot be idmapped here",
}
OLD = {"result": "no", "step": "fsconfig lowerdir", "errno": "EINVAL", "said": "idmapped layers are not"}
NO_API = {"result": "no", "step": "fsopen", "errno": "ENOSYS", "said": ""}
STARTS = {**RECORDED["6.18"]["fuse"]["operations"], "opaque": "EIO", "rename": "EXDEV"}


@pytest.mark.parametrize(
    ("changes", "what", "mark", "why", "page"),
    [
        ({}, "no seccomp filter", "ok", "", ""),
        ({"process__seccomp": "filter"}, "seccomp mode filter, which lets mounts through", "ok", "", ""),
        (
            {"process__seccomp": "filter", "kernel__new_mount_api": NO_API}, "seccomp mode filter",
            "?", "ENOSYS may be its doing", "OVL-KRN-14",
        ),
        (
            {"process__no_new_privs": True, "process__uid": 1000}, "no_new_privs is set",
            "?", "setuid helpers (newuidmap, fusermount3) get no privilege", "",
        ),
        ({}, "idmapped layers", "ok", "", ""),
        ({"overlay__idmapped": MUTE}, "idmapped layers", "?", "tmpfs cannot be idmapped here", ""),
        (
            {"overlay__idmapped": OLD}, "idmapped layers",
            "no", "EINVAL from fsconfig lowerdir: idmapped layers are not", "OVL-UNS-03",
        ),
        ({}, "an overlay by fuse-overlayfs", "ok", "", ""),
        (
            {"fuse__served": DEAD, "fuse__operations": {}}, "an overlay by fuse-overlayfs",
            "no", "ENOTCONN from the first request: cannot open l1", "OVL-FUS-06",
        ),
        (
            {"fuse__served": LATE, "fuse__operations": {}}, "an overlay by fuse-overlayfs",
            "no", "ETIMEDOUT from the first request: no answer within 2 s", "",
        ),
        (
            {"fuse__operations": STARTS}, "an overlay by fuse-overlayfs",
            "no",
            "starts, then EIO from rm -r of a lower directory and mkdir in its place; EXDEV from renaming a "
            "new directory", "OVL-FUS-05",
        ),
        ({"fuse__served": UNKNOWN, "fuse__operations": {}}, "by fuse-overlayfs", "?", "not tried", ""),
    ],
)  # fmt: skip
def test_what_was_tried(changes: dict[str, object], what: str, mark: str, why: str, page: str) -> None:
    [line] = [line for line in lines(judged(changed("6.18", **changes))) if line.what == what]

    assert (line.mark, line.why, line.page) == (mark, why, page)
    assert line.mark != "no" or line.remedy


def test_an_overlay_that_fuse_overlayfs_cannot_serve_is_refused() -> None:
    report = judged(changed("6.18", fuse__served=DEAD, fuse__operations={}))

    found = [verdict.line for verdict in report.verdicts if verdict.line.what == "by fuse-overlayfs"]
    assert [(line.mark, line.page) for line in found] == [("no", "OVL-FUS-06")]
    assert report.status == 1


@pytest.mark.parametrize(
    ("version", "faults"),
    [
        ("1.16", ""),
        ("1.15.1", "known faults: wrong directory listings (before 1.16)"),
        ("1.13", "known faults: no colon in upperdir (before 1.15), wrong directory listings (before 1.16)"),
    ],
)
def test_the_faults_of_a_release_are_those_it_has(version: str, faults: str) -> None:
    report = judged(changed("6.18", fuse__version=f"fuse-overlayfs: version {version}"))

    [line] = [line for line in report.sections["FUSE"] if line.what == f"/usr/bin/fuse-overlayfs {version}"]
    assert line.why == faults


def test_the_features_of_a_runtime_are_told_in_a_few_words() -> None:
    assert [line.what for line in judged(RECORDED["6.18"]).sections["Runtimes"]] == [
        "runc: /usr/sbin/runc, 1.1.5+ds1, OCI 1.0.0 to 1.0.2-dev, 62 mount options",
        "crun: /usr/bin/crun, 1.8.1",
        "runsc: /usr/bin/runsc, 0.0~20221219.0",
    ]
