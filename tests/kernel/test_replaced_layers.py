"""Layers that somebody renames while a container starts: what was tried and locked is mounted, or nothing."""

import os
import pathlib
from errno import ENOTCONN

import pytest
from harness import OCISHIM, STAGE, Bundle, Host, Result
from kernel.test_trial_safety import snapshot

from ocishim import filesystems, linux
from ocishim.errors import HostError, SyscallError
from ocishim.probe import layer, same

#: ocishim; once something is done, a layer is renamed and a link takes its place.
_SWAPPING = f"""
import os, sys
sys.path.insert(0, {str(STAGE.parent.parent)!r})
path, victim, when = sys.argv[1:4]
del sys.argv[1:4]
from ocishim import prepare, trials
def swap():
    if not os.path.islink(path):
        os.rename(path, path + ".old")
        os.symlink(victim, path)
def after(function):
    def wrapped(*more):
        result = function(*more)
        swap()
        return result
    return wrapped
if when == "looked":
    prepare.look = after(prepare.look)
elif when == "locked":
    prepare.lock = after(prepare.lock)
else:
    trials.Trials.check = after(trials.Trials.check)
from ocishim.shim import main
sys.exit(main())
"""
_WHY = (
    "another directory has taken its place since it was looked at; let nobody rename it, or what holds it, "
    "while a container starts"
)


@pytest.mark.parametrize("mode", ["kernel", "fuse"])
@pytest.mark.parametrize("when", ["looked", "locked", "tried"])
@pytest.mark.parametrize("role", ["upperdir", "workdir", "lowerdir"])
def test_a_layer_that_is_replaced_is_not_mounted(
    host: Host, bundle: Bundle, tmp_path: pathlib.Path, role: str, when: str, mode: str
) -> None:
    victim = tmp_path / "victim"
    (victim / "work/deep/er").mkdir(parents=True)
    (victim / "precious").write_text("precious")
    for name in ("top", "low", "upperdir", "workdir"):
        bundle.layer(name)
    bundle.overlay("lowerdir=top:low", "upperdir=upperdir", "workdir=workdir")
    bundle.spec["process"]["args"][2] = "echo started"
    path = bundle.directory / {"lowerdir": "low"}.get(role, role)
    before = snapshot(victim)
    words = ["--overlay", mode, "--runtime", "runc", "run", "--bundle", bundle.path, host.id("runc")]
    program = [str(OCISHIM.parent / "python3"), "-IS", "-c", _SWAPPING, str(path), str(victim), when]

    result = host.run("runc", [*program, *words])

    assert (result.status, result.out, result.err.count("\n")) == (1, "", 1)
    assert result.err.endswith(f"{role}={path}: {_WHY}\n")
    if mode == "kernel":
        assert snapshot(victim) == before
    assert [name for name in os.listdir(f"{bundle.directory}/workdir") if name.startswith(".")] == []


@pytest.mark.parametrize("mode", ["kernel", "fuse"])
def test_what_is_mounted_on_upperdir_meanwhile_is_noticed(host: Host, bundle: Bundle, mode: str) -> None:
    """The trial works in workdir, and so sees nothing of it."""
    for name in ("low", "upper", "work"):
        bundle.layer(name)
    bundle.overlay("lowerdir=low", "upperdir=upper", "workdir=work")
    bundle.spec["process"]["args"][2] = "echo started"
    upper = f"{bundle.directory}/upper"
    script = _SWAPPING.replace("    if not os.path.islink(path):\n", "    if os.path.samefile(path, path):\n")
    script = script.replace('        os.rename(path, path + ".old")\n', "")
    script = script.replace("os.symlink(victim, path)", "os.system(f'mount --bind {path} {path}')")
    words = ["--overlay", mode, "--runtime", "runc", "run", "--bundle", bundle.path, host.id("runc")]
    program = ["unshare", "--mount", "--propagation", "private", str(OCISHIM.parent / "python3")]
    program += ["-IS", "-c", script, upper, "-", "locked"]

    result = host.run("runc", [*program, *words])

    assert (result.status, result.out, result.err.count("\n")) == (1, "", 1)
    if mode == "fuse":
        why = "something was mounted on one of them since they were looked at; mount nothing there while"
        assert f"upperdir={upper} and workdir={bundle.directory}/work: {why} " in result.err


@pytest.mark.parametrize(("magic", "is_refused"), [(None, True), (filesystems.FUSE, False)])
@pytest.mark.parametrize("what", ["a link", "a file", "nothing", "another directory"])
def test_the_very_directory_is_opened_again(
    tmp_path: pathlib.Path, what: str, magic: int | None, is_refused: bool
) -> None:
    """Where file systems number their directories; a server may make up a new number each time."""
    path = tmp_path / "layer"
    path.mkdir()
    found = layer.look("upperdir", "layer", str(tmp_path))
    found.magic = magic or found.magic
    os.close(same.reopen(found, os.O_RDONLY))
    path.rename(tmp_path / "renamed")
    if what == "a link":
        path.symlink_to(tmp_path)
    elif what == "a file":
        path.touch()
    elif what == "another directory":
        path.mkdir()

    if is_refused:
        with pytest.raises(HostError) as raised:
            same.reopen(found, os.O_RDONLY)
        assert str(raised.value) == f"upperdir={path}: {_WHY}"
    elif what in ("a link", "another directory"):
        os.close(same.reopen(found, os.O_RDONLY))
    else:
        with pytest.raises(OSError, match="layer"):
            same.reopen(found, os.O_RDONLY)


def test_a_layer_whose_server_fails_between_two_questions_is_named(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fs_type(_: int) -> int:
        raise SyscallError(ENOTCONN, "fstatfs")

    monkeypatch.setattr(linux, "fs_type", fs_type)
    monkeypatch.setattr(layer, "_mounts", {})

    found = layer.look("lowerdir", ".", str(tmp_path))

    assert (found.role, found.path, found.errno) == ("lowerdir", f"{tmp_path}/.", ENOTCONN)


def test_a_layer_that_stays_is_mounted(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"][2] = "echo started"

    assert host.ocishim("runc", "run", bundle.path) == Result(0, "started\n", "")
