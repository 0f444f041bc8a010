"""Why there was no trial: what is blamed for it."""

import errno

import pytest
from unit.steps import layers, overlays

from ocishim import filesystems, untried
from ocishim.errors import HostError, SyscallError
from ocishim.step import Step


def step(**magics: int) -> Step:
    """Make the step of an overlay; `a=MAGIC` puts /a on another file system."""
    [mount] = overlays(["lowerdir=/a:/b", "upperdir=/u", "workdir=/w"])
    return Step(mount, layers(mount, {f"/{name}": magic for name, magic in magics.items()}))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EMFILE, "x", "/b"),
         "mounts[0]: no trial can be made: EMFILE, too many open files; raise the limit (ulimit)"),
        (SyscallError(errno.EPERM, "umount", "/stage/1"),
         "mounts[0]: no trial can be made: umount /stage/1: EPERM, the kernel refuses it"),
        (OSError(errno.ENOTDIR, "x", "/b"),
         "mounts[0]: lowerdir=/b was there, and then not: is not a directory; look after who changes it"),
        (SyscallError(errno.ENOENT, "system call", "/a/f"),
         "mounts[0]: lowerdir=/a/f was there, and then not: does not exist; look after who changes it"),
        (OSError(errno.EIO, "x"), "mounts[0]: the trial was cut off: EIO, input/output error"),
        (OSError(errno.EROFS, "x", ".ocishim-trial"),
         "mounts[0]: workdir=/w cannot be used (EROFS, read-only file system), so the overlay would come up "
         "read-only; empty workdir or name a new one, on a file system where root of the host may write; "
         "ocishim explain OVL-OPT-16"),
    ],
)  # fmt: skip
def test_what_is_not_workdirs_fault_is_not_put_on_it(error: OSError, message: str) -> None:
    assert str(untried.of_scratch(step(), error)) == message


@pytest.mark.parametrize(
    ("magics", "told", "named"),
    [
        ({"b": filesystems.FUSE}, "mounts[0]: lowerdir=/a", "mounts[0]: lowerdir=/b"),
        ({"b": filesystems.NFS}, "mounts[0]: mount", "mounts[0]: lowerdir=/b"),
        ({"a": filesystems.FUSE, "b": filesystems.FUSE}, "mounts[0]: lowerdir=/a", "mounts[0]: lowerdir=/a"),
        (
            {"u": filesystems.NFS, "w": filesystems.NFS},
            "mounts[0]: mount",
            "mounts[0]: upperdir=/u or workdir=/w",
        ),
        ({}, "mounts[0]: lowerdir=/a", "mounts[0]: lowerdir=/a"),
    ],
)
def test_a_layer_that_nobody_serves_is_not_said_to_hang(
    magics: dict[str, int], told: str, named: str
) -> None:
    error = untried.blame(step(**magics), HostError(told, "no answer", "look", "OVL-LOW-28"))

    assert error.args == (named, "no answer", "look", "OVL-LOW-28")


def test_where_a_trial_is_cut_off_the_server_is_named() -> None:
    error = untried.of_scratch(step(b=filesystems.FUSE), OSError(errno.ENOTCONN, "x"))

    why = "the trial was cut off: ENOTCONN, transport endpoint is not connected"
    assert str(error) == f"mounts[0]: {why}; look after the server of lowerdir=/b"


@pytest.mark.parametrize(
    ("filename", "named"), [("/u", "upperdir=/u"), ("/b/c", "lowerdir=/b/c"), ("/bc", ""), (None, "")]
)
def test_a_layer_that_is_gone_is_named(filename: str | None, named: str) -> None:
    found = untried.of_layer(step(), OSError(errno.ENOENT, "x", filename))

    message = f"mounts[0]: {named} was there, and then not: does not exist; look after who changes it"
    assert (str(found) if found else "") == (message if named else "")


def test_another_error_stays_as_it_is() -> None:
    error = HostError("fork", "EAGAIN")

    assert untried.blame(step(a=filesystems.FUSE), error) is error
