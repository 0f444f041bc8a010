"""ocishim at a terminal and in a pipe: progress that leaves no trace, colours, a reader that goes away."""

import os
import pathlib
import pty
import select
import signal
import subprocess
import time

import pytest
from harness import OCISHIM, ROOT

from ocishim.cli import terminal

FACTS = str(ROOT / "tests/unit/facts/6.18.json")
SLOW = "#!/bin/sh\nsleep 3\n"


class Screen:
    """A terminal of 80 columns for the standard error of a command, or for its output too."""

    def __init__(self, *words: str, out: bool = False, **environ: str) -> None:
        self.leader, follower = pty.openpty()
        plain = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "80"}
        self.process = subprocess.Popen(
            [OCISHIM, *words],
            stdin=subprocess.DEVNULL,
            stdout=follower if out else subprocess.DEVNULL,
            stderr=follower,
            env={name: value for name, value in {**plain, **environ}.items() if value},
            start_new_session=True,
        )
        os.close(follower)

    def read(self, seconds: float = 20, until: str = "\0") -> str:
        """Read until something comes or the command has ended."""
        end, text = time.monotonic() + seconds, b""
        while until.encode() not in text and select.select([self.leader], [], [], end - time.monotonic())[0]:
            try:
                part = os.read(self.leader, 4096)
            except OSError:  # EIO: nobody has the other end any more
                break
            text += part
        return text.decode()

    def close(self) -> int:
        """Wait for the command; give its status."""
        os.close(self.leader)
        return self.process.wait(10)


def visible(text: str) -> str:
    """Give what a terminal shows at last, of text without other controls than the one that clears a line."""
    return "\n".join(line.rpartition("\r\x1b[K")[2] for line in text.replace("\r\n", "\n").split("\n"))


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_where_the_caller_has_closed_its_output(closed: str) -> None:
    words = [str(OCISHIM), "doctor", "--facts", FACTS]

    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *words], capture_output=True, check=False)

    assert (done.returncode, done.stderr, bool(done.stdout)) == (0, b"", closed == "2>&-")


def test_progress_is_shown_and_leaves_no_trace() -> None:
    screen = Screen("doctor", "--format", "json")

    text = screen.read()

    assert screen.close() in (0, 1)
    assert "asking fuse-overlayfs and the runtimes who they are…" in text
    assert "trying overlays" in text
    assert visible(text) == ""


@pytest.mark.parametrize("name", ["dumb", ""])
def test_a_terminal_that_cannot_clear_a_line_shows_no_progress(name: str) -> None:
    screen = Screen("doctor", TERM=name)

    assert screen.read() == ""
    screen.close()


def test_an_interrupt_ends_doctor_and_leaves_no_trace(tmp_path: pathlib.Path) -> None:
    (tmp_path / "runc").write_text(SLOW)
    (tmp_path / "runc").chmod(0o755)
    settings = tmp_path / "config.toml"
    settings.write_text(f'[runtimes.runc]\npath = "{tmp_path}/runc"\n')
    screen = Screen("doctor", OCISHIM_CONFIG=str(settings))
    text = screen.read(until="asking")

    screen.process.send_signal(signal.SIGINT)

    assert visible(text + screen.read()) == ""
    assert screen.close() == -signal.SIGINT


@pytest.mark.parametrize(
    ("environ", "has_colours"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
    ids=str,
)
@pytest.mark.parametrize(
    "words", [("doctor", "--facts", FACTS), ("explain", "OVL-KRN-08")], ids=lambda w: w[0]
)
def test_colours_follow_the_terminal(
    words: tuple[str, ...], environ: dict[str, str], has_colours: bool
) -> None:
    screen = Screen(*words, out=True, **environ)

    assert ("\x1b[" in screen.read()) == has_colours
    screen.close()


@pytest.mark.parametrize(
    "words",
    [["doctor", "--facts", FACTS], ["doctor", "--facts", FACTS, "--format", "html"], ["explain"]],
    ids=str,
)
def test_a_reader_that_goes_away_is_no_error(words: list[str]) -> None:
    out, out_in = os.pipe()
    os.close(out)

    done = subprocess.run([OCISHIM, *words], stdout=out_in, stderr=subprocess.PIPE, check=False)

    os.close(out_in)
    assert (done.returncode, done.stderr) == (1, b"")


def test_progress_in_a_pipe_is_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with terminal.progress() as show:
        show("x")

    assert capfd.readouterr() == ("", "")
