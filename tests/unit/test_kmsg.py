"""The kernel's log, where there is none."""

import os

import pytest

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
