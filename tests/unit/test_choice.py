"""Which refusals of the kernel leave an overlay to fuse-overlayfs."""

import types
from errno import EINVAL, ESTALE
from typing import Any, cast

import pytest
from unit.steps import RW, make

from ocishim.choice import Choice
from ocishim.errors import MountError
from ocishim.probe import kmsg
from ocishim.probe.here import Here
from ocishim.settings import Settings
from ocishim.stage import Stage
from ocishim.trials import Trials

VOLATILE = "overlay with incompat feature 'volatile' cannot be mounted"


def _refusal(why: str, errno: int = EINVAL) -> MountError:
    return MountError("mount overlay on /0", why, errno=errno)


@pytest.mark.parametrize(
    ("trial", "attach", "log", "backend"),
    [
        (None, None, "", "kernel"),
        (_refusal("EINVAL"), None, "", "fuse"),
        # Lines of others, or of a scratch layer that was tried with volatile first, say nothing of upperdir.
        (_refusal("EINVAL"), None, VOLATILE, "fuse"),
        (_refusal(f"EINVAL (kernel log: {VOLATILE})"), None, "", "fuse"),
        (_refusal("it mounts, then EIO", 0), None, "upperdir is in-use by another mount", "fuse"),
        (_refusal("ESTALE", ESTALE), None, "", ""),
        (None, _refusal("EINVAL"), "", "fuse"),
        (None, _refusal(f"EINVAL: {VOLATILE}"), "", ""),
        (None, _refusal("EINVAL"), VOLATILE, ""),
    ],
)
def test_a_refusal_that_protects_upperdir_is_not_left_to_fuse_overlayfs(
    trial: MountError | None,
    attach: MountError | None,
    log: str,
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [step] = make("auto", RW)
    mounted = []

    def check(_: object, step: object, by: Any) -> None:
        if trial and by.backend == "kernel":
            raise _refusal(trial.why, trial.errno)

    def attach_(by: Any, *_: object) -> None:
        if attach and by.backend == "kernel":
            raise _refusal(attach.why, attach.errno)
        mounted.append(by.backend)

    monkeypatch.setattr(Trials, "check", check)
    monkeypatch.setattr(kmsg.Watch, "said", lambda *_: log)
    stage = types.SimpleNamespace(
        target=lambda _: "/0", attach=attach_, here=Here(), kernel_log=kmsg.Watch(), name="test"
    )
    choice = Choice(cast(Stage, stage), Settings())
    if backend:
        choice.mount(step)
    else:
        with pytest.raises(MountError):
            choice.mount(step)

    assert mounted == ([backend] if backend else [])
