"""Who mounts an overlay: after which refusals fuse-overlayfs, and where a server may hang, a child."""

import os
import time
import types
from errno import EINVAL, ESTALE
from typing import Any, cast

import pytest
from unit.steps import RW, make

from ocishim import filesystems, patience
from ocishim.choice import Choice
from ocishim.errors import HostError, MountError
from ocishim.probe import holder, kmsg
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


@pytest.mark.parametrize(
    ("magic", "is_local", "in_child"),
    [
        (filesystems.FUSE, False, True),
        (filesystems.NFS, False, True),
        (filesystems.OVERLAY, False, True),
        (filesystems.OVERLAY, True, False),
        (0xEF53, False, False),
    ],
)
def test_where_a_server_may_hang_a_child_mounts(
    magic: int, is_local: bool, in_child: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    [step] = make("kernel", RW)
    step.read[0].magic = magic
    reader, writer = os.pipe()

    def attach(by: Any, *_: object) -> None:
        os.write(writer, b"%d" % os.getpid())
        by.con.append("told")

    monkeypatch.setattr(Trials, "check", lambda *_: None)
    monkeypatch.setattr(patience, "is_needless", lambda: is_local)
    stage = types.SimpleNamespace(target=lambda _: "/0", attach=attach, here=Here(), kernel_log=kmsg.Watch())
    Choice(cast(Stage, stage), Settings()).mount(step)
    os.close(writer)

    assert (int(os.read(reader, 20)) != os.getpid(), step.candidates[0].con) == (in_child, ["told"])
    os.close(reader)


def test_a_server_that_hangs_after_the_trial_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    [step] = make("auto", RW)
    step.read[0].magic = filesystems.FUSE
    monkeypatch.setattr(Trials, "check", lambda *_: None)
    monkeypatch.setattr(patience, "is_needless", lambda: False)
    monkeypatch.setattr(patience, "LIMIT", 0.3)
    stage = types.SimpleNamespace(
        target=lambda _: "/0", attach=lambda *_: time.sleep(5), here=Here(), kernel_log=kmsg.Watch()
    )

    with pytest.raises(MountError) as raised:
        Choice(cast(Stage, stage), Settings()).mount(step)
    os.waitpid(-1, 0)  # it is killed, and nobody waits for one that may not end

    assert (raised.value.what, raised.value.page) == ("mounts[0]: lowerdir=/a", "OVL-LOW-28")


def test_a_search_that_hangs_on_anothers_layers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    [step] = make("auto", RW)
    monkeypatch.setattr(holder, "search", lambda _: time.sleep(5))
    monkeypatch.setattr(patience, "is_needless", lambda: False)
    monkeypatch.setattr(patience, "LIMIT", 0.3)

    with pytest.raises(HostError) as raised:
        Stage.check_free(cast(Stage, None), [step])
    os.waitpid(-1, 0)

    assert raised.value.page == "OVL-LOW-28"
