"""Work in a child: its result, its errors, and its end where it hangs."""

import errno
import os
import pathlib
import time
from collections.abc import Callable

import pytest
from harness import wait_for

from ocishim import patience
from ocishim.errors import HostError, MountError, ShimError, SpecError, SyscallError, UsageError

Tell = Callable[[str], object]


@pytest.mark.parametrize(
    "result",
    [
        None, 0, "", b"", [], (), {}, True, -7, 1 << 80, "größe \udc80", b"\0\xff",
        [(1, "a", None), {"b": [2]}],
    ],
)  # fmt: skip
def test_the_result_comes_back(result: object) -> None:
    assert patience.ask(lambda _: result) == result


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 10_000_000])
def test_a_big_result_comes_back(size: int) -> None:
    assert patience.ask(lambda _: "x" * size) == "x" * size


def test_a_result_comes_back_whatever_was_told_before() -> None:
    def work(tell: Tell) -> str:
        for number in range(10_000):
            tell(f"mounts[0]: lowerdir=/{number}")
        return "well"

    assert patience.ask(work) == "well"


def test_the_work_is_done_in_a_child() -> None:
    changed: list[int] = []

    def work(_: Tell) -> int:
        changed.append(1)
        return os.getpid()

    pid = patience.ask(work)

    assert (changed, pid == os.getpid()) == ([], False)


def test_no_child_and_no_descriptor_is_left() -> None:
    before = os.listdir("/proc/self/fd")

    patience.ask(lambda _: 1)

    assert os.listdir("/proc/self/fd") == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize(
    "error",
    [
        ShimError("what", "why", "remedy", "OVL-UPP-01"),
        SpecError("mounts[1]", "why", "remedy", "OVL-UPP-01"),
        SpecError("mounts[1]", "größe \udc80\n"),
        HostError("host", "why"),
        UsageError("usage", "why"),
        MountError("mounts[1]", "why", "remedy", "OVL-UPP-01", errno.EINVAL),
        MountError("mounts[1]", "why"),
    ],
)
def test_an_error_comes_back_whole(error: ShimError) -> None:
    def work(_: Tell) -> None:
        raise error

    with pytest.raises(ShimError) as raised:
        patience.ask(work)

    assert (type(raised.value), raised.value.args) == (type(error), error.args)
    assert raised.value.page == error.page
    assert getattr(raised.value, "errno", None) == getattr(error, "errno", None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SyscallError(errno.EINVAL, "fsopen", "overlay"), "fsopen overlay: EINVAL, invalid argument"),
        (SyscallError(errno.EPERM, "unshare"), "unshare: EPERM, the kernel refuses it"),
        (FileNotFoundError(errno.ENOENT, "x", "/a"), "system call /a: does not exist"),
        (OSError(errno.ENOSPC, "x"), "system call: ENOSPC, no space left on device"),
    ],
)
def test_a_system_error_comes_back_with_errno_call_and_path(error: OSError, expected: str) -> None:
    def work(_: Tell) -> None:
        raise error

    with pytest.raises(OSError) as raised:  # noqa: PT011 - the errno is compared
        patience.ask(work)

    assert (raised.value.errno, str(raised.value)) == (error.errno, expected)


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(RuntimeError, match=r"^ValueError: invalid literal for int"):
        patience.ask(lambda _: int("x"))


def test_a_result_that_cannot_be_carried_is_a_bug() -> None:
    with pytest.raises(RuntimeError):
        patience.ask(lambda _: object())


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ((), "it ended without a word"),
        (("mounts[0]: /a", "mounts[0]: /b"), "a child ended while it was at mounts[0]: /b"),
    ],
)
def test_a_child_that_is_killed_is_a_bug_that_says_where(told: tuple[str, ...], said: str) -> None:
    def work(tell: Tell) -> None:
        for text in told:
            tell(text)
        os.kill(os.getpid(), 9)

    with pytest.raises(RuntimeError) as raised:
        patience.ask(work)

    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ((), "a layer"),
        (("mounts[0]: lowerdir=/a", "mounts[1]: lowerdir=/nfs/größe"), "mounts[1]: lowerdir=/nfs/größe"),
    ],
)
def test_what_hangs_is_given_up_and_named(tmp_path: pathlib.Path, told: tuple[str, ...], what: str) -> None:
    def work(tell: Tell) -> None:
        for text in told:
            tell(text)
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(1000)

    begin = time.monotonic()
    with pytest.raises(HostError) as raised:
        patience.ask(work, 0.5)

    assert str(raised.value) == (
        f"{what}: no answer within 0.5 s: its file system hangs; look after its server, if it has one; "
        "umount -f ends the waiting; ocishim explain OVL-LOW-28"
    )
    assert 0.5 <= time.monotonic() - begin < 3
    pid = int((tmp_path / "pid").read_text())
    assert wait_for(lambda: os.waitpid(pid, os.WNOHANG) == (pid, 9))


def test_the_limit_is_for_all_of_it() -> None:
    def work(tell: Tell) -> None:
        while True:
            tell("mounts[0]: lowerdir=/slow")
            time.sleep(0.05)

    begin = time.monotonic()
    with pytest.raises(HostError):
        patience.ask(work, 0.5)

    assert time.monotonic() - begin < 3


def test_what_hangs_after_half_a_record_is_given_up_too() -> None:
    """As a result that is larger than the pipe, of which the reader saw a part."""

    def work(_: Tell) -> None:
        out = max(int(name) for name in os.listdir("/proc/self/fd") if _is_pipe(name))
        os.write(out, (1 << 20).to_bytes(4, "little") + b"x" * 100)
        time.sleep(1000)

    with pytest.raises(HostError, match=r"^a layer: no answer within 0\.3 s"):
        patience.ask(work, 0.3)


def _is_pipe(name: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{name}").startswith("pipe:")
    except OSError:
        return False


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["ext4", "proc", "tmpfs"], True),
        (["ext4", "overlay"], True),
        (["ext4", "fuse.sshfs"], False),
        (["ext4", "nfs4"], False),
        (["ext4", "autofs"], False),
        (["one-that-nobody-knows"], False),
    ],
)
def test_only_among_local_file_systems_a_child_is_needless(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, kinds: list[str], expected: bool
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("".join(f"1 2 0:3 / /{n} rw shared:1 - {kind} src rw\n" for n, kind in enumerate(kinds)))
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, flags: real(table, flags))

    assert patience.is_needless() is expected
