"""Overlays of idmapped layers on the kernels of User Mode Linux, which get layers in different ways."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest
from kernel.asked import Case, script
from kernel.refused_layers import userns

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))  # hack/ is not installed

from hack.matrix import boot, kernels

#: Instead of a runtime: it works on the overlay that ocishim has made, where its bind mount would be from.
RUNTIME = r"""#!/bin/sh -eu
cd "$(sed -n 's/.*"source": *"\([^"]*\)".*/\1/p' config.json)"
stat -c %u:%g . f; echo more >>f; rm -r d; mkdir d; mkdir n; mv n m; stat -c %u:%g f d m
echo "$(grep -c ocishim/stage /proc/self/mountinfo) mounts: the stage and the overlay"
"""
#: tmpfs cannot be idmapped before 6.3: the layers are on a disk, the parent of upper and work nobody else's.
MAKE = f"""
mkdir k; mount -t ext4 /dev/ubda k; mv l k/l; mkdir -p k/p/u k/p/w
chown -R 1000:1000 k/l k/p/u k/p/w; chmod 700 k/p
cat >runc <<'END'
{RUNTIME}END
chmod 755 runc
"""


@pytest.mark.parametrize("suite", [suite for suite in kernels.SUITES if suite != "bullseye"])
def test_layers_of_another_owner(suite: str, tmp_path: pathlib.Path) -> None:
    image = tmp_path / "ext4.img"
    subprocess.run(["truncate", "-s", "16M", image], check=True)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", image], check=True)
    options = ("lowerdir=k/l", "upperdir=k/p/u", "workdir=k/p/w", "idmap")
    case = Case(MAKE, "", options, "--runtime ./runc create --bundle . c1", spec=userns(1000, 0))
    words = (
        f"mkdir /tmp/b; cd /tmp/b; sh -euc {shlex.quote(script(case))} 2>&1; cd k/p/u; stat -c '%n %u:%g' . *"
    )

    done = boot.run(kernels.fetch(suite), ["sh", "-c", words], disks=[boot.Disk(image)], env={**os.environ})

    assert (done.status, done.out.splitlines()) == (0, [
        "0:0", "0:0", "0:0", "0:0", "0:0", "2 mounts: the stage and the overlay",
        ". 1000:1000", "d 1000:1000", "f 1000:1000", "m 1000:1000",
    ]), done.console  # fmt: skip
