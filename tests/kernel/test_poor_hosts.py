"""Hosts that lack something, or grant little: a line that says so, nothing left, and no traceback."""

import os
import re
import time

import pytest
from harness import OCISHIM, Bundle, Host, Result

_MOUNTS = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
_NO_PROC = (
    "ocishim: /proc: no proc file system of this PID namespace is mounted there; mount -t proc proc /proc\n"
)
#: Of a PID namespace that is gone: /proc/self leads nowhere.
_FOREIGN = 'unshare --pid --fork mount -t proc proc "$0"; mount --bind "$0" /proc; '


def _prepared(bundle: Bundle) -> str:
    for name in ("upper", "work"):
        bundle.layer(name)
    bundle.layer("lower", file="x\n")
    bundle.layer("lower/directory", file="x\n")
    bundle.overlay("lowerdir=lower", "upperdir=upper", "workdir=work")
    bundle.spec["process"]["args"][2] = "cat /ov/file"
    return bundle.path


def _left(bundle: Bundle) -> list[str]:
    return [name for name in os.listdir(bundle.directory / "work") if name != "work"]


@pytest.mark.parametrize("script", ["mount -t tmpfs none /proc; ", _FOREIGN], ids=["none", "foreign"])
@pytest.mark.parametrize("settings", ["ours", "none"])
@pytest.mark.parametrize("command", ["run", "plan", "doctor BUNDLE", "doctor"])
def test_without_proc(host: Host, bundle: Bundle, command: str, settings: str, script: str) -> None:
    path = _prepared(bundle)
    words = {
        "run": ["--runtime", "runc", "run", "--bundle", path, host.id("runc")],
        "plan": ["plan", "--runtime", "runc", path],
        "doctor BUNDLE": ["doctor", path],
        "doctor": ["doctor"],
    }[command]
    if settings == "none":
        script += "[ ! -d /etc/ocishim ] || mount -t tmpfs none /etc/ocishim; unset OCISHIM_CONFIG; "
    place = bundle.layer("proc")

    result = host.run("runc", [*_MOUNTS, f'{script}exec "$@"', str(place), str(OCISHIM), *words])

    assert result == Result(1, "", _NO_PROC)


def test_an_ordinary_user_without_proc(host: Host, bundle: Bundle) -> None:
    user = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+dac_read_search "
    user += "--ambient-caps=+dac_read_search "
    words = ["--runtime", "runc", "--root", host.root("runc"), "run", "--bundle", _prepared(bundle), "c1"]
    script = f'mount -t tmpfs none /proc; exec {user} "$@"'

    result = host.run("runc", [*_MOUNTS, script, "sh", str(OCISHIM), *words])

    assert result == Result(1, "", _NO_PROC)


@pytest.mark.parametrize("mode", ["kernel", "fuse", "auto"])
def test_with_few_descriptors_it_works_or_says_so(host: Host, bundle: Bundle, mode: str) -> None:
    words = ["--overlay", mode, "--runtime", "runc", "--root", host.root("runc"), "run"]
    words += ["--bundle", _prepared(bundle)]
    wrong = {}
    for limit in range(5, 25, 2):
        script = f'ulimit -n {limit}; exec "$@"'
        result = host.run("runc", ["bash", "-c", script, "sh", str(OCISHIM), *words, host.id("runc")])
        said = re.fullmatch(r"ocishim: .*EMFILE.*\n", result.err)
        if _left(bundle) or (result != Result(0, "x\n", "") and not (result.status == 1 and said)):
            wrong[limit] = (result, _left(bundle))

    assert wrong == {}


def _with_fault(host: Host, bundle: Bundle, fault: str, *words: str) -> str:
    """Run it with a fault that strace injects into its system calls; give what it says."""
    path = _prepared(bundle)
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={fault}"]
    command = [*strace, str(OCISHIM), *words, "--runtime", "runc", "run", "--bundle", path, host.id("runc")]
    result = host.run("runc", command)

    assert (result.status, result.out, _left(bundle)) == (1, "", [])
    return "\n".join(line for line in result.err.splitlines() if not line.startswith("strace: "))


@pytest.mark.parametrize("mode", ["auto", "kernel"])
def test_without_another_process(host: Host, bundle: Bundle, mode: str) -> None:
    said = _with_fault(host, bundle, "clone,clone3,fork,vfork:error=EAGAIN", "--overlay", mode)

    assert said == (
        "ocishim: mounts[1]: fork: EAGAIN, resource temporarily unavailable; raise pids.max of the control "
        "group, or the user's limit of processes (ulimit -u)"
    )


def test_doctor_without_another_process(host: Host) -> None:
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=clone,clone3,fork,vfork:error=EAGAIN"]

    result = host.run("runc", [*strace, str(OCISHIM), "doctor"])

    assert result == Result(
        1, "", "ocishim: system call: EAGAIN, resource temporarily unavailable; raise pids.max of the "
        "control group, or the user's limit of processes (ulimit -u)\n",
    )  # fmt: skip


@pytest.mark.parametrize("errno", ["EPERM", "EACCES"])
def test_where_mount_is_forbidden(host: Host, bundle: Bundle, errno: str) -> None:
    why = {"EPERM": "EPERM, the kernel refuses it", "EACCES": "EACCES, access refused"}[errno]

    said = _with_fault(host, bundle, f"mount:error={errno}")

    assert said == (
        f"ocishim: private mount namespace: mount /: {why}, by a seccomp filter or a security module; run "
        "ocishim on the host, or give the outer container the capability and a profile that allows mounts; "
        "ocishim explain OVL-KRN-15"
    )


def test_where_unmounting_is_forbidden_workdir_is_not_blamed(host: Host, bundle: Bundle) -> None:
    said = _with_fault(host, bundle, "umount2:error=EPERM", "--overlay", "kernel")

    # The kernel's log is the whole machine's: lines of other tests may be in it.
    assert re.fullmatch(
        r"ocishim: mounts\[1\]: no trial can be made: umount \S*/stage/1: EPERM, the kernel refuses it"
        r"(; dmesg may say more| \(kernel log: .*)",
        said,
    )


@pytest.mark.parametrize("mode", ["kernel", "fuse"])
@pytest.mark.parametrize("action", ["''", "-"], ids=["ignored", "default"])
def test_of_a_caller_that_ignores_its_children(host: Host, bundle: Bundle, action: str, mode: str) -> None:
    """Where SIGCHLD is ignored there is nothing to wait for; the runtime finds it as it was."""
    path = _prepared(bundle)
    witness = host.directory / "runc"
    # A shell would have its own way with the signal.
    witness.write_text("#!/usr/bin/python3 -IS\nprint(open('/proc/self/status').read())\n")
    witness.chmod(0o755)
    words = ["--overlay", mode, "--runtime", str(witness), "run", "--bundle", path, "c1"]
    begin = time.monotonic()

    result = host.run("runc", ["bash", "-c", f'trap {action} CHLD; exec "$@"', "sh", str(OCISHIM), *words])

    assert (result.status, result.err) == (0, "")
    assert bool(int(result.out.partition("SigIgn:")[2].split()[0], 16) & 1 << 16) is (action == "''")
    assert time.monotonic() - begin < 10
