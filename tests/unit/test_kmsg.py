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
