"""Clones of layers for an id mapping: in a user namespace, in mountinfo, in the cache of trials."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from harness import OCISHIM, Bundle, Host

from ocishim.probe import holder
from ocishim.probe.layer import look

#: Runs a command as root of a new user namespace that has the ids from 100000 on.
_IN_NAMESPACE = """
import ctypes, os, sys
ready, ready_in = os.pipe()
go, go_in = os.pipe()
child = os.fork()
if child == 0:
    ctypes.CDLL(None).unshare(0x10020000)  # CLONE_NEWUSER, CLONE_NEWNS
    os.write(ready_in, b"y")
    os.read(go, 1)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.execvp(sys.argv[1], sys.argv[1:])
os.read(ready, 1)
for kind in ("uid", "gid"):
    open(f"/proc/{child}/{kind}_map", "w").write("0 100000 65536")
os.write(go_in, b"y")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
#: Instead of a runtime: it shows what ocishim has made.
_SHOW = r"""#!/bin/sh -eu
cd "$(sed -n 's/.*"source": *"\([^"]*\)".*/\1/p' config.json)"
stat -c '%n %u:%g' . file
ls -A ..
grep ' - overlay ' /proc/self/mountinfo | tail -n 1 | tr , '\n' | sed -n 's/^upperdir=.*idmapped//p'
"""


def spec(bundle: Bundle, disk: int, shown: int, *more: str) -> str:
    """Write a spec with layers lower, upper and work in its directory; give it as text."""
    ranges = [{"containerID": disk, "hostID": shown, "size": 1}]
    entry = bundle.overlay("lowerdir=lower", "upperdir=upper", "workdir=work", *more)
    entry["uidMappings"] = entry["gidMappings"] = ranges
    return json.dumps(bundle.spec)


@pytest.mark.parametrize("shown", [0, 5])
def test_on_a_file_system_of_its_own_a_user_namespace_may(tmp_path: pathlib.Path, shown: int) -> None:
    text = spec(Bundle(tmp_path / "b"), 1000, shown)
    script = f"""
mount -t tmpfs t /mnt; mkdir /mnt/b; cd /mnt/b; mkdir lower upper work; echo >lower/file; chown -R 1000:1000 *
printf %s "$1" >config.json; printf %s "$2" >runc; chmod 755 runc; echo 'trial_cache = ""' >settings
OCISHIM_CONFIG=/mnt/b/settings {OCISHIM} --runtime ./runc create --bundle . c1
stat -c '%n %u:%g' work/work
"""
    words = [sys.executable, "-c", _IN_NAMESPACE, "sh", "-euc", script, "sh", text, _SHOW]

    done = subprocess.run(words, text=True, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f". {shown}:{shown}", f"file {shown}:{shown}", "1", "/1/mnt/b/upper", "work/work 1000:1000",
    ]  # fmt: skip


def test_a_descriptor_in_the_mountinfo_of_another_is_none_of_ours(tmp_path: pathlib.Path) -> None:
    layer = look("upperdir", ".", str(tmp_path))
    file = os.open(tmp_path, os.O_PATH)
    line = "48 38 0:41 / /ov rw - overlay overlay rw,lowerdir=/l,upperdir={},workdir=/w\n"
    wanted = {(layer.device, layer.inode): layer}

    found = [
        [its for its, *_ in holder._in_mounts(line.format(path), wanted)]
        for path in (f"/proc/self/fd/{file}", str(tmp_path), f"/x/ocishim/stage/idmapped/1{tmp_path}")
    ]

    os.close(file)
    assert found == [[], [layer], [layer]]


def test_a_trial_with_another_mapping_is_another(host: Host, bundle: Bundle) -> None:
    for name in ("lower", "upper", "work"):
        bundle.layer(name)
        os.chown(bundle.directory / name, 1000, 1000)
    runtime = bundle.directory / "runc"
    runtime.write_text("#!/bin/sh\n")
    runtime.chmod(0o755)
    host.set("", str(host.directory / "cache"))
    counts = []

    for shown in (0, 0, 7):
        bundle.spec["mounts"] = []
        spec(bundle, 1000, shown)
        done = host.run("runc", [OCISHIM, "--runtime", runtime, "create", "--bundle", bundle.path, "c1"])
        assert (done.status, done.err) == (0, "")
        counts.append(len((host.directory / "cache/trials").read_text().splitlines()))

    assert counts == [1, 1, 2]


def test_ids_that_a_user_namespace_has_not_are_named(tmp_path: pathlib.Path) -> None:
    bundle = Bundle(tmp_path / "b")
    for name in ("lower", "upper", "work"):
        bundle.layer(name)
    spec(bundle, 0, 100000)

    words = ["unshare", "--user", "--map-root-user", "--mount", str(OCISHIM), "--runtime", "true"]
    done = subprocess.run(
        [*words, "create", "--bundle", bundle.path, "c1"], text=True, capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (
        1,
        "ocishim: user namespace with the mount's mappings: uid_map: EPERM, the kernel refuses it; "
        "take hostIDs that this user namespace has\n",
    )
