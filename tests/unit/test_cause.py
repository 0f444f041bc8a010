"""Why an overlay does not work: what failed in its trial, or the errno of its mount, and the finding."""

import errno
import os
from collections.abc import Sequence

import pytest
from unit.steps import EXT4, RW, layers, make, overlays

from ocishim import candidate, cause, filesystems, untried
from ocishim.probe.here import Here
from ocishim.step import Step

ROOT, USER = Here(), Here(is_initial=False)
TMPFS = filesystems.TMPFS
Failures = Sequence[tuple[str, int, str]]


def step(words: Sequence[str] = RW, **magics: int) -> Step:
    """Make the step of an overlay; `a=MAGIC` puts /a on another file system."""
    [mount] = overlays(words)
    return Step(mount, layers(mount, {f"/{name}": magic for name, magic in magics.items()}))


#: What failed with the files laid into a scratch layer: backend, failures, the kernel's log, the page.
SCRATCH: list[tuple[str, Failures, str, str]] = [
    ("kernel", [("write", errno.ENOSPC, "")], "", "OVL-UPP-12"),
    ("kernel", [("write", errno.ENOSPC, ""), ("opaque", errno.EIO, "")], "", "OVL-UPP-12"),
    ("kernel", [("opaque", errno.ENOTEMPTY, "")], "", "OVL-UPP-04"),
    ("kernel", [("whiteout", errno.EEXIST, "")], "", "OVL-UPP-04"),
    ("kernel", [("move", errno.EINVAL, "")], "", "OVL-UPP-01"),
    ("kernel", [("rename", errno.EIO, "")], "upper fs does not support RENAME_WHITEOUT.", "OVL-UPP-01"),
    ("kernel", [("opaque", errno.EIO, "")], "", "OVL-UPP-05"),
    ("kernel", [("opaque", errno.EEXIST, "")], "", "OVL-UPP-05"),
    ("kernel", [("rename", errno.EXDEV, "")], "", "OVL-UPP-05"),
    ("kernel", [("read", errno.EIO, "")], "", ""),
    ("kernel", [("xattr", errno.EOPNOTSUPP, "")], "", ""),
    ("fuse", [("write", errno.EOPNOTSUPP, "")], "", "OVL-FUS-07"),
    ("fuse", [("write", errno.EIO, "")], "", ""),
    ("fuse", [("opaque", errno.ENOTEMPTY, "")], "", ""),
]


@pytest.mark.parametrize(("backend", "failed", "said", "page"), SCRATCH)
def test_what_fails_with_scratch_files_is_the_upper_layers(
    backend: str, failed: Failures, said: str, page: str
) -> None:
    error = cause.of_trial(step(), backend, failed, said, ROOT)

    assert page == error.page
    assert "  " not in str(error)


F = "/a/d/file"
#: What failed with a sample of /a only: the file system of /a, failures, the kernel's log, where, the page.
SAMPLE: list[tuple[str, int, Failures, str, Here, str]] = [
    ("kernel", EXT4, [("read", errno.EREMOTE, F)], "", ROOT, "OVL-LOW-26"),
    ("kernel", EXT4, [("write", errno.EIO, F)], "wrong case: casefold", ROOT, "OVL-LOW-26"),
    ("kernel", EXT4, [("write", errno.EOVERFLOW, F)], "", ROOT, "OVL-UNS-01"),
    ("kernel", EXT4, [("write", errno.EOVERFLOW, F)], "", USER, "OVL-UNS-01"),
    ("kernel", EXT4, [("create", errno.EACCES, "/a/d")], "", USER, "OVL-UNS-01"),
    ("kernel", EXT4, [("create", errno.EACCES, "/a/d")], "", ROOT, ""),
    ("kernel", filesystems.HOSTFS, [("read", errno.ENOENT, F)], "", ROOT, "OVL-LOW-27"),
    ("kernel", filesystems.FUSE, [("write", errno.EIO, F)], "", ROOT, "OVL-LOW-04"),
    ("kernel", filesystems.FUSE, [("read", errno.EIO, F)], "", ROOT, ""),
    ("kernel", filesystems.NFS, [("write", errno.EOPNOTSUPP, F)], "", ROOT, "OVL-LOW-09"),
    ("kernel", EXT4, [("write", errno.ENOSPC, F)], "", ROOT, "OVL-LOW-25"),
    ("kernel", EXT4, [("write", errno.EIO, F)], "", ROOT, ""),
    ("fuse", EXT4, [("read", errno.EOPNOTSUPP, F)], "", ROOT, "OVL-FUS-07"),
]


@pytest.mark.parametrize(("backend", "magic", "failed", "said", "here", "page"), SAMPLE)
def test_what_fails_with_a_layers_own_files_is_that_layers(
    backend: str, magic: int, failed: Failures, said: str, here: Here, page: str
) -> None:
    error = cause.of_trial(step(a=magic), backend, failed, said, here)

    assert page == error.page
    assert "  " not in str(error)
    assert error.why.startswith("lowerdir=/a " if page else "it mounts, then ")


def test_the_layer_is_the_one_that_the_file_lies_in() -> None:
    words = ["lowerdir=/x:/ab:/a", "upperdir=/u", "workdir=/w"]

    error = cause.of_trial(step(words), "kernel", [("read", errno.EREMOTE, "/ab/f")], "", ROOT)

    assert error.why.startswith("lowerdir=/ab holds directories that ignore case")


MESSAGES: list[tuple[Failures, str, str]] = [
    (
        [("opaque", errno.EIO, "")],
        "",
        "mounts[0]: workdir=/w is on ext4, where trusted.overlay.* cannot be written: deleting a lower "
        "directory would fail [tried: EIO from rm -r of a lower directory and mkdir in its place]; use "
        "userxattr in a user namespace, and a disk or a kernel from 6.6 on instead of an old tmpfs; "
        "ocishim explain OVL-UPP-05",
    ),
    (
        [("write", errno.EREMOTE, F), ("whiteout", errno.EREMOTE, F)],
        "it says so",
        "mounts[0]: lowerdir=/a holds directories that ignore case: their files answer EREMOTE in the "
        "overlay [tried: EREMOTE from writing to a lower file (/a/d/file); EREMOTE from deleting a lower "
        "file (/a/d/file)] (kernel log: it says so); remove the flag from empty directories and fill them "
        "again, or use a file system without casefold; ocishim explain OVL-LOW-26",
    ),
    (
        [(name, errno.EIO, "") for name in ("read", "write", "whiteout", "move")],
        "",
        "mounts[0]: it mounts, then EIO from reading a file; EIO from writing to a lower file; EIO from "
        "deleting a lower file",
    ),
    (
        [("read", errno.EIO, "/a/f"), ("read", errno.EIO, "/b/f")],
        "",
        "mounts[0]: it mounts, then EIO from reading a file (/a/f)",
    ),
]


@pytest.mark.parametrize(("failed", "said", "message"), MESSAGES)
def test_a_failed_trial_says_what_failed(failed: Failures, said: str, message: str) -> None:
    error = cause.of_trial(step(), "kernel", failed, said, ROOT)

    assert message == str(error)


@pytest.mark.parametrize("operation", cause.OPERATIONS)
@pytest.mark.parametrize("path", ["", F])
def test_any_failure_can_be_told(operation: str, path: str) -> None:
    for number in sorted(errno.errorcode):
        for backend in ("kernel", "fuse"):
            error = cause.of_trial(step(), backend, [(operation, number, path)], "", USER)

            assert cause.OPERATIONS[operation] in str(error)
            assert "{" not in str(error)


#: What the kernel answered to a mount, and of what: the page.
MOUNTS: list[tuple[int, Sequence[str], dict[str, int], Here, str]] = [
    (errno.EPERM, RW, {}, ROOT, "OVL-KRN-15"),
    (errno.EPERM, RW, {}, USER, "OVL-KRN-02"),
    (errno.ENODEV, RW, {}, ROOT, "OVL-KRN-01"),
    (errno.ELOOP, RW, {}, ROOT, "OVL-OPT-12"),
    (errno.ESTALE, RW, {}, ROOT, "OVL-OPT-15"),
    (errno.EBUSY, RW, {}, ROOT, "OVL-OPT-13"),
    (errno.EREMOTE, RW, {}, ROOT, "OVL-LOW-26"),
    (errno.ENOSPC, RW, {}, ROOT, "OVL-KRN-13"),
    (errno.EROFS, RW, {}, ROOT, "OVL-UPP-14"),
    (errno.EIO, RW, {}, ROOT, ""),
    (0, RW, {}, ROOT, ""),
    (errno.EINVAL, RW, {}, ROOT, ""),
    (errno.EINVAL, RW, {}, USER, ""),
    (errno.EINVAL, RW, {"u": filesystems.NFS, "w": filesystems.NFS}, ROOT, "OVL-UPP-08"),
    (errno.EINVAL, RW, {"u": 0xFE534D42, "w": 0xFE534D42}, ROOT, "OVL-UPP-09"),
    (errno.EINVAL, RW, {"u": 0x4D44, "w": 0x4D44}, ROOT, "OVL-UPP-10"),
    (errno.EINVAL, RW, {"u": filesystems.OVERLAY, "w": filesystems.OVERLAY}, ROOT, "OVL-UPP-02"),
    (errno.EINVAL, RW, {"u": filesystems.FUSE, "w": filesystems.FUSE}, ROOT, "OVL-UPP-03"),
    (errno.EINVAL, RW, {"a": 0x9FA0}, ROOT, "OVL-LOW-23"),
    (errno.EINVAL, RW, {"a": filesystems.OVERLAY}, ROOT, "OVL-KRN-08"),
    (errno.EINVAL, RW, {"a": 0x4D44}, ROOT, "OVL-LOW-01"),
    (errno.EINVAL, RW, {"a": filesystems.FUSE}, ROOT, ""),
    (errno.EINVAL, ["lowerdir=/b:/a"], {"a": filesystems.OVERLAY}, ROOT, "OVL-KRN-08"),
    (errno.EINVAL, ["lowerdir=/a::/d"], {}, ROOT, "OVL-OPT-08"),
    (errno.EINVAL, ["lowerdir=/b::/d"], {"d": filesystems.OVERLAY}, ROOT, "OVL-KRN-08"),
]


@pytest.mark.parametrize(("number", "words", "magics", "here", "page"), MOUNTS)
def test_an_errno_of_a_mount_has_a_page_by_what_the_layers_are(
    number: int, words: Sequence[str], magics: dict[str, int], here: Here, page: str
) -> None:
    made = step(words, **magics)

    assert page == cause.of_mount(made, candidate.Candidate("kernel"), number, here)
    assert cause.of_mount(made, candidate.Candidate("fuse"), number, here) == ""


@pytest.mark.parametrize(
    ("page", "magics", "expected"),
    [
        ("OVL-LOW-23", {"a": 0x9FA0}, "lowerdir=/a is on proc, which allows no overlay on it"),
        ("OVL-UPP-08", {"u": filesystems.NFS, "w": filesystems.NFS},
         "upperdir=/u is on NFS, which cannot hold whiteouts and overlay xattrs"),
        ("OVL-UPP-03", {"u": filesystems.FUSE, "w": filesystems.FUSE},
         "upperdir=/u is on FUSE, which lacks one of these; a remote upper layer needs d_type, "
         "RENAME_WHITEOUT and xattrs"),
        ("OVL-KRN-08", {"a": filesystems.OVERLAY},
         "lowerdir=/a is on overlay that is stacked already: the kernel stacks two levels and no more"),
        ("OVL-LOW-23", {}, ""),
        ("OVL-FUS-06", {"a": filesystems.FUSE}, "/a is a FUSE mount without a server (ENOTCONN)"),
        ("OVL-FUS-06", {}, ""),
    ],
)  # fmt: skip
def test_a_page_about_a_file_system_is_told_of_the_layer(
    page: str, magics: dict[str, int], expected: str
) -> None:
    assert expected == cause.told(step(RW, **magics), page, "", [])


@pytest.mark.parametrize(
    ("release", "option", "page"),
    [
        ("5.10.0-28-amd64", "userxattr", "OVL-KRN-03"),
        ("5.11.1", "userxattr", ""),
        ("6.1.0-9-amd64", "userxattr", ""),
        ("5.4.0", "volatile", "OVL-KRN-04"),
        ("5.10.46", "volatile", ""),
        ("strange", "volatile", "OVL-KRN-04"),
    ],
)
def test_an_old_kernel_is_told_by_its_release(
    monkeypatch: pytest.MonkeyPatch, release: str, option: str, page: str
) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "h", release, "#1", "x86_64")))
    [made] = make("kernel", [*RW, option])

    assert page == cause.of_mount(made, made.candidates[0], errno.EINVAL, ROOT)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC,
         "mounts[0]: workdir=/w has nothing free: a change of a larger lower file fails with ENOSPC; give "
         "the tmpfs a size, or use a directory on disk; ocishim explain OVL-UPP-12"),
        (errno.EACCES,
         "mounts[0]: workdir=/w cannot be used (EACCES, access refused), so the overlay would come up "
         "read-only; empty workdir or name a new one, on a file system where root of the host may write; "
         "ocishim explain OVL-OPT-16"),
        (0,
         "mounts[0]: workdir=/w cannot be used (EIO, input/output error), so the overlay would come up "
         "read-only; empty workdir or name a new one, on a file system where root of the host may write; "
         "ocishim explain OVL-OPT-16"),
    ],
)  # fmt: skip
def test_a_workdir_that_takes_no_scratch_directory(number: int, message: str) -> None:
    assert message == str(untried.of_scratch(step(), OSError(number, "x", ".ocishim-trial")))


def test_the_names_of_the_operations_are_those_of_the_trial() -> None:
    from ocishim.probe import operations

    assert {*operations._OPERATIONS} | {"create"} == {*cause.OPERATIONS}
