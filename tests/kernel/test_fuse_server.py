"""The fuse-overlayfs server: what it holds, when it ends, and what happens if it does not do its work."""

import fcntl
import os
import pathlib
import pty
import shlex
import signal
import subprocess
import termios
import time
from collections.abc import Callable

import pytest
from harness import OCISHIM, STAGE, Bundle, Host, Result, wait_for
from kernel import rungs

#: ocishim that waits less for an answer.
_IMPATIENT = f"""
import sys
sys.path.insert(0, {str(STAGE.parent.parent)!r})
from ocishim.drivers import fuse
fuse.PATIENCE = 0.3
from ocishim.shim import main
sys.exit(main())
"""
IMPATIENT = (str(OCISHIM.parent / "python3"), "-IS", "-c", _IMPATIENT)
MISSING = (
    "is neither in PATH nor where the settings say; install it, or name it in the settings; "
    "ocishim explain OVL-FUS-04"
)


def server(host: Host, script: str, mode: int = 0o755) -> pathlib.Path:
    """Make a program and have it taken for fuse-overlayfs."""
    program = host.directory / "fuse-overlayfs"
    program.write_text(f"#!/bin/busybox sh\nPATH=/usr/bin:/bin\n{script}\n")
    program.chmod(mode)
    host.set(f'fuse_overlayfs = "{program}"\n[runtimes.runc]\n')
    return program


def words(host: Host, bundle: Bundle, mode: str = "fuse") -> list[str]:
    """Give the words that run the bundle."""
    fixed = ["--overlay", mode, "--runtime", "runc", "--root", host.root("runc")]
    return [*fixed, "run", "--bundle", bundle.path, host.id("runc")]


def impatient(host: Host, bundle: Bundle, mode: str = "fuse") -> Result:
    """Run the bundle by an ocishim that waits 0.3 s."""
    return host.run("runc", [*IMPATIENT, *words(host, bundle, mode)], timeout=20)


def pid_of_server(bundle: Bundle) -> int:
    """Find the server by the upperdir on its command line."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().decode()
        except OSError:
            continue
        if line.partition("\0")[0].endswith("fuse-overlayfs") and f"upperdir={bundle.directory}/" in line:
            return int(process.name)
    return 0


def start(host: Host, bundle: Bundle, name: str, **more: object) -> Result:
    """Start a container in the background."""
    line = ("--overlay", "fuse", "run", "--detach", "--bundle", bundle.path, name)
    return host.ocishim("runc", *line, detached=True, **more)


def test_it_ends_when_the_container_is_gone(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    name = host.id("runc")
    assert start(host, bundle, name) == Result(0, "", "")
    assert pid_of_server(bundle) != 0

    assert host.bare("runc", "kill", name, "KILL").status == 0

    assert wait_for(lambda: pid_of_server(bundle) == 0)


def test_it_is_a_child_of_init_in_the_host_with_nothing_of_the_engine(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    with open(host.directory / "inherited", "w") as file:
        name = host.id("runc")
        assert start(host, bundle, name, pass_fds=[file.fileno()]).status == 0

    pid = pid_of_server(bundle)
    held = [os.readlink(link) for link in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert pathlib.Path(f"/proc/{pid}/environ").read_text() == "PATH=/usr/sbin:/usr/bin:/sbin:/bin\0"
    assert fields[1] == "1"
    assert fields[4] == "0"  # no terminal
    assert [path for path in held if str(host.directory) in path and "bundle" not in path] == []
    assert [path for path in held if path.endswith("/fuse")] != []  # shown from outside of its namespace


def test_a_reader_of_the_containers_output_sees_its_end(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"][2] = "echo said; exec >/dev/null 2>&1; sleep 1000"
    *most, name = words(host, bundle)

    done = subprocess.run(
        [OCISHIM, *most, "--detach", name],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        env=host.environment(),
        timeout=20,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "said\n", "")
    assert pid_of_server(bundle) != 0


def _interrupt_the_group(process: "subprocess.Popen[str]", _: int) -> None:
    os.killpg(process.pid, signal.SIGINT)


def _interrupt_by_terminal(_: "subprocess.Popen[str]", terminal: int) -> None:
    os.write(terminal, b"\x03")


@pytest.mark.parametrize("interrupt", [_interrupt_the_group, _interrupt_by_terminal])
def test_it_survives_an_interrupt(
    host: Host, bundle: Bundle, interrupt: "Callable[[subprocess.Popen[str], int], None]"
) -> None:
    bundle.layer("lower", file="well\n")
    bundle.overlay()
    script = "trap 'cat /ov/file; exit 7' INT; echo ready; while :; do sleep 0.02; done"
    bundle.spec["process"]["args"][2] = script
    terminal, side = pty.openpty()
    process = subprocess.Popen(
        [OCISHIM, *words(host, bundle)],
        stdin=side,
        stdout=subprocess.PIPE,
        text=True,
        env=host.environment(),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(side)
    with process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"

        interrupt(process, terminal)

        assert process.stdout.read() == "well\n"
        assert process.wait(10) == 7
    os.close(terminal)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "the server ended before it answered"),
        ("echo cannot do it >&2; echo twice >&2; exit 1", "cannot do it; twice"),
        ("echo unknown argument ignored: lazytime >&2; exit 1", "the server ended before it answered"),
        ("kill -SEGV $$", "the server ended before it answered"),
        ("sleep 1000", "no answer within 0.3 s"),
        # The kernel's first question is read and never answered; then no signal ends the wait for it.
        ('for last; do :; done; eval "dd bs=1M count=1 of=/dev/null 2>/dev/null <&${last##*/}"; sleep 1000',
         "no answer within 0.3 s"),
        ("trap '' TERM INT HUP; while :; do sleep 1; done", "no answer within 0.3 s"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_serve(host: Host, bundle: Bundle, script: str, said: str) -> None:
    server(host, script)
    bundle.overlay()
    begin = time.monotonic()

    result = impatient(host, bundle)

    assert result == Result(
        1, "", f"ocishim: mounts[1]: fuse-overlayfs on /ov: {said}; try --overlay kernel\n"
    )
    assert time.monotonic() - begin < 5
    assert host.wait_until_nothing_is_left() == []


def test_a_server_that_never_answers_again_is_ended(host: Host, bundle: Bundle) -> None:
    """By strace: it answers once, then each of its answers fails."""
    bundle.overlay()
    trace = host.directory / "trace"
    strace = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=writev"]
    strace += ["-e", "inject=writev:error=EIO:when=2+"]

    result = host.run("runc", [*strace, *IMPATIENT, *words(host, bundle)], timeout=20)

    assert result == Result(
        1,
        "",
        "ocishim: mounts[1]: fuse-overlayfs on /ov: fuse: writing device: Input/output error; try --overlay "
        "kernel\n",
    )
    assert "(INJECTED)" in trace.read_text()


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (0o644, MISSING),
        (0o755, "EACCES"),
    ],
)
def test_a_server_that_cannot_be_executed(host: Host, bundle: Bundle, mode: int, why: str) -> None:
    program = server(host, "exit 0", mode)
    if mode == 0o755:
        program.write_text("#!/nonexistent/interpreter\n")
        why = f"fuse-overlayfs on /ov: {program}: does not exist; try --overlay kernel"
    else:
        why = f"{program} {why}"
    bundle.overlay()

    assert impatient(host, bundle) == Result(1, "", f"ocishim: mounts[1]: {why}\n")


def test_a_server_that_is_missing(host: Host, bundle: Bundle) -> None:
    host.set('fuse_overlayfs = "/nonexistent/fuse-overlayfs"\n[runtimes.runc]\n')
    bundle.overlay()

    assert impatient(host, bundle) == Result(
        1,
        "",
        f"ocishim: mounts[1]: /nonexistent/fuse-overlayfs {MISSING}\n",
    )


def test_in_auto_mode_both_reasons_are_given(host: Host, bundle: Bundle) -> None:
    host.set('fuse_overlayfs = "/nonexistent/fuse-overlayfs"\n[runtimes.runc]\n')
    bundle.overlay()
    bundle.layer("work-upper/work/a/b/c/d")

    assert impatient(host, bundle, "auto") == Result(
        1,
        "",
        f"ocishim: mounts[1]: workdir={bundle.directory}/work-upper cannot be used (ENOTEMPTY from removing "
        "work/work), so the overlay would come up read-only; nor by fuse-overlayfs: "
        "/nonexistent/fuse-overlayfs is neither in PATH nor where the settings say (OVL-FUS-04); empty "
        "workdir or name a new one, on a file system where root of the host may write; "
        "ocishim explain OVL-OPT-16\n",
    )


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ("", "does not exist): fuse-overlayfs cannot mount; modprobe fuse"),
        ("dev 10 255", "ENODEV, no such device): fuse-overlayfs cannot mount; modprobe fuse"),
        (
            "nodev 10 229",
            "EACCES, access refused): fuse-overlayfs cannot mount; let ocishim's user open /dev/fuse",
        ),
    ],
)
def test_the_device_cannot_be_opened(host: Host, bundle: Bundle, device: str, why: str) -> None:
    bundle.overlay()
    options, *number = device.split() or ["dev"]
    make = f"mknod /dev/fuse c {' '.join(number)}" if number else ":"
    run = shlex.join([str(OCISHIM), *words(host, bundle)])
    script = f"exec 3<>/dev/null; mount -t tmpfs -o {options} tmpfs /dev; {make}; exec {run}"

    result = host.run("runc", ["unshare", "--mount", "--propagation", "private", "sh", "-c", script])

    why = f"/dev/fuse cannot be opened ({why}; ocishim explain OVL-FUS-01"
    assert result == Result(1, "", f"ocishim: mounts[1]: {why}\n")


def test_a_container_can_start_again_at_once(host: Host, bundle: Bundle) -> None:
    """The server of the first one may still be on its way out."""
    bundle.overlay()
    bundle.spec["process"]["args"][2] = "echo x >>/ov/file; wc -l </ov/file"

    results = [rungs.run(host, bundle, mode="fuse") for _ in range(8)]

    assert results == [Result(0, f"{number}\n", "") for number in range(1, 9)]
