"""The kernel's log: where there is none, and whose lines count."""

import os

import pytest

from ocishim import findings
from ocishim.probe import kmsg


def test_a_sandbox_that_has_dev_null_for_the_log_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open
    monkeypatch.setattr(os, "open", lambda _, flags: real("/dev/null", flags))
    watch = kmsg.Watch()
    monkeypatch.undo()

    assert (watch.said(), watch.new()) == ("", "")


def test_said_since_a_moment_leaves_out_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    out, log = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    monkeypatch.setattr(os, "open", lambda *_: out)
    watch = kmsg.Watch()
    os.write(log, b"6,1,1,-;overlayfs: one.\n")
    before = watch.now()
    os.write(log, b"6,2,2,-;overlayfs: one.\n")

    assert (watch.said(before), watch.said()) == ("one", "one")
    os.close(log)
    os.close(out)


@pytest.mark.parametrize(
    ("text", "said", "page"),
    [
        ("overlayfs: failed to clone lowerpath", "failed to clone lowerpath", "OVL-LOW-02"),
        (
            "SELinux: mount invalid.  Same superblock, different security settings for (dev vda1, type ext4)",
            "mount invalid.  Same superblock, different security settings for (dev vda1, type ext4)",
            "OVL-SEL-04",
        ),
        ("systemd[1]: Started overlayfs: a unit.", "", ""),
    ],
)
def test_whose_lines_tell_of_a_mount(
    text: str, said: str, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, log_in = os.pipe2(os.O_NONBLOCK)
    monkeypatch.setattr(os, "open", lambda *_: log)
    watch = kmsg.Watch()
    monkeypatch.undo()
    os.write(log_in, f"4,5,6,-;{text}\n".encode())
    try:
        found = watch.said()
    finally:
        os.close(log)
        os.close(log_in)

    known = findings.recognise(found) if found else None
    assert (found, known.id if known else "") == (said, page)
