"""What the runtime receives: the process as the engine started it, with the overlay in place."""

import array
import json
import os
import pathlib
import signal
import socket
import subprocess

import pytest
from harness import OCISHIM, RUNTIMES, Bundle, Host, Result

#: A runtime that says what it was given; named runc, so that it is taken for one.
_WITNESS = """#!/usr/bin/python3 -IS
import json, os, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(json.dumps({
    "argv": sys.argv[1:],
    "pid": os.getpid(),
    "cwd": os.getcwd(),
    "environ": [v for v in open("/proc/self/environ").read().split("\\0") if v],
    "files": sorted(int(f) for f in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + f)),
    "ignored": int(status["SigIgn"], 16),
    "blocked": int(status["SigBlk"], 16),
    "umask": int(status["Umask"], 8),
}))
"""

#: The signals that whoever started the tests ignores (nohup does so with SIGHUP), as SigIgn of proc(5).
INHERITED = sum(
    1 << (number - 1)
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}
    if signal.getsignal(number) is signal.SIG_IGN
)


@pytest.fixture
def witness(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "runc"
    path.write_text(_WITNESS)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("command", ["state", "create"])
def test_the_runtime_gets_the_process_as_the_engine_made_it(
    host: Host, bundle: Bundle, witness: str, command: str
) -> None:
    bundle.overlay()
    words = {"state": ["state", "c1"], "create": ["create", "--bundle", bundle.path, "c1"]}[command]
    environment = {"PATH": "/bin", "XDG_RUNTIME_DIR": "", "LISTEN_FDS": "2", "_OCI_SYNCPIPE": "3", "X": "a=b"}
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]

    process = subprocess.Popen(
        [OCISHIM, "--log", "/dev/null", "--runtime", witness, *words],
        cwd=bundle.directory,
        env=environment,
        pass_fds=files,
        umask=0o027,
        stdout=subprocess.PIPE,
    )
    got = json.loads(process.communicate(timeout=30)[0])

    for file in files:
        os.close(file)
    python_ignores = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)  # the witness's own Python
    assert got == {
        "argv": ["--log", "/dev/null", *words],
        "pid": process.pid,
        "cwd": str(bundle.directory),
        "environ": [f"{key}={value}" for key, value in environment.items()],
        "files": [0, 1, 2, *files],
        "ignored": python_ignores | INHERITED,
        "blocked": 0,
        "umask": 0o027,
    }


def test_sigpipe_is_not_ignored_in_the_runtime(host: Host, tmp_path: pathlib.Path) -> None:
    script = tmp_path / "runc"
    script.write_text("#!/bin/sh\ngrep SigIgn /proc/self/status\n")
    script.chmod(0o755)

    result = host.run("runc", [OCISHIM, "--runtime", str(script), "state", "c1"])

    assert Result(0, f"SigIgn:\t{INHERITED:016x}\n", "") == result


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("status", [0, 1, 42])
def test_exit_status_and_streams_of_the_container_are_those_of_ocishim(
    host: Host, bundle: Bundle, runtime: str, status: int
) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"][2] = f"read line; echo out $line; echo err >&2; exit {status}"

    process = subprocess.run(
        host.command(
            runtime, [str(OCISHIM), "--runtime", runtime, "--root", host.root(runtime), "run", bundle.path]
        ),
        env=host.environment(),
        input="in\n",
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (status, "out in\n", "err\n") == (process.returncode, process.stdout, process.stderr)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_terminal_reaches_the_engine_by_the_console_socket(
    host: Host, bundle: Bundle, runtime: str
) -> None:
    bundle.overlay()
    bundle.spec["process"]["terminal"] = True
    bundle.spec["process"]["args"][2] = "test -t 0 && echo a terminal; ls -d /ov"
    bundle.spec["mounts"].append({"destination": "/dev", "type": "tmpfs", "source": "tmpfs"})
    bundle.spec["mounts"].append(
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["newinstance", "ptmxmode=0666"],
        }
    )
    name = host.id(runtime)
    path = host.directory / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        words = ("run", "--detach", "--console-socket", str(path), "--pid-file", str(host.directory / "pid"))

        result = host.ocishim(runtime, *words, "--bundle", bundle.path, name, detached=True)
        connection = listener.accept()[0]

    with connection:
        _, [(_, _, data)], _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
    [terminal] = array.array("i", data)
    text = b""
    try:
        while b"/ov" not in text:
            text += os.read(terminal, 4096)
    except OSError:  # EIO: the other side is closed
        pass
    os.close(terminal)
    assert Result(0, "", "") == result
    assert text.decode().split() == ["a", "terminal", "/ov"]
    assert (host.directory / "pid").read_text().isdigit()


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_preserved_descriptors_reach_the_container(host: Host, bundle: Bundle, runtime: str) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"][2] = "cat <&3; echo $LISTEN_FDS"
    bundle.spec["process"]["env"].append("LISTEN_FDS=1")
    reader, writer = os.pipe()
    os.write(writer, b"through\n")
    os.close(writer)
    command = host.command(
        runtime,
        [
            str(OCISHIM),
            "--runtime",
            runtime,
            "--root",
            host.root(runtime),
            "run",
            "--preserve-fds",
            "1",
            bundle.path,
        ],
    )

    process = subprocess.run(
        ["bash", "-c", f'exec 3<&{reader}; exec "$@"', "sh", *command],
        env=host.environment(),
        pass_fds=[reader],
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )

    os.close(reader)
    assert (process.returncode, process.stdout, process.stderr) == (0, "through\n1\n", "")


@pytest.mark.parametrize("runtime", ["runc", "crun"])  # runsc run does not pass SIGTERM on, by itself neither
@pytest.mark.parametrize("backend", ["kernel", "fuse"])
def test_a_signal_ends_a_container_that_runs_in_the_foreground(
    host: Host, bundle: Bundle, runtime: str, backend: str
) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"][2] = (
        "trap 'echo caught >/ov/caught; exit 7' TERM; echo ready; sleep 1000 & wait"
    )
    process = subprocess.Popen(
        host.command(
            runtime,
            [
                str(OCISHIM),
                "--runtime",
                runtime,
                "--root",
                host.root(runtime),
                "--overlay",
                backend,
                "run",
                bundle.path,
            ],
        ),
        env=host.environment(),
        text=True,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    with process.stdout:
        assert process.stdout.readline() == "ready\n"

        process.send_signal(signal.SIGTERM)

        assert process.wait(30) == 7
    assert (bundle.directory / "upper/caught").read_text() == "caught\n"


@pytest.mark.parametrize("runtime", ["crun", "runsc"])
def test_a_mount_label_without_selinux_is_left_out_as_the_runtimes_do(
    host: Host, bundle: Bundle, runtime: str
) -> None:
    bundle.layer("lower", file="x\n")
    bundle.overlay()
    bundle.spec["linux"]["mountLabel"] = "system_u:object_r:container_file_t:s0:c1,c2"
    bundle.spec["process"]["args"][2] = "cat /ov/file"

    result = host.ocishim(runtime, "run", bundle.path)

    assert result == Result(0, "x\n", "")


@pytest.mark.parametrize("backend", ["kernel", "fuse"])
def test_closed_standard_descriptors_are_closed_in_the_runtime_too(
    host: Host, bundle: Bundle, tmp_path: pathlib.Path, backend: str
) -> None:
    bundle.overlay()
    witness = tmp_path / "runc"
    witness.write_text(f"#!/bin/sh\nls /proc/$$/fd >{tmp_path}/files\n")
    witness.chmod(0o755)
    words = ("create", "--bundle", bundle.path, "c1")

    def files(*command: str) -> tuple[int, str]:
        result = host.run("runc", ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command, *words])
        return result.status, (tmp_path / "files").read_text()

    through = files(str(OCISHIM), "--runtime", str(witness), "--overlay", backend)

    assert through == files(str(witness))


def test_in_a_bundles_directory_a_word_is_the_id(host: Host, bundle: Bundle, tmp_path: pathlib.Path) -> None:
    bundle.overlay()
    assert bundle.path
    (bundle.directory / "c1").mkdir()
    (bundle.directory / "c1/config.json").write_text("{}")
    witness = tmp_path / "runc"
    witness.write_text('#!/bin/sh\necho "$@"\n')
    witness.chmod(0o755)

    id_ = host.run("runc", [OCISHIM, "--runtime", witness, "run", "c1"], cwd=bundle.directory)
    dot = host.run("runc", [OCISHIM, "--runtime", witness, "run", "."], cwd=bundle.directory)

    assert id_ == Result(0, "run c1\n", "")
    assert dot.out.startswith(f"run --bundle {bundle.directory} bundle-")


@pytest.mark.parametrize(
    ("words", "status"),
    [(["help", "list"], 0), (["--nonesuch"], 1), (["nonesuch"], 3), (["list", "--help"], 0)],
)
def test_what_is_not_ocishims_own_is_answered_by_the_runtime(
    host: Host, words: list[str], status: int
) -> None:
    bare = host.run("runc", [host.path("runc"), *words])

    result = host.run("runc", [OCISHIM, "--runtime", "runc", *words])

    assert (result.status, result.out) == (status, bare.out)
