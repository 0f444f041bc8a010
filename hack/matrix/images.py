"""Images of file systems, made by the host's mkfs programs, for loop devices here and disks of a guest."""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Sequence

from . import content, trees
from .errors import NotMadeError
from .privilege import NOBODY, ROOT, USERNS

#: By name: how to format, and how large (MiB; files with holes). FILE is the image.
_FORMATS = {
    "ext4": ("mkfs.ext4 -q -O ^metadata_csum_seed,^orphan_file FILE", 96),
    "ext4-nofiletype": ("mkfs.ext4 -q -O ^filetype,^metadata_csum_seed,^orphan_file FILE", 96),
    "ext4-casefold": ("mkfs.ext4 -q -O casefold,^metadata_csum_seed,^orphan_file -E encoding=utf8 FILE", 96),
    "xfs": ("mkfs.xfs -q FILE", 320),
    "xfs-noftype": ("mkfs.xfs -q -m crc=0 -n ftype=0 FILE", 320),
    "btrfs": ("mkfs.btrfs -q FILE", 160),
    "vfat": ("mkfs.vfat FILE", 96),
}
#: Made of a tree, which has a directory for each privilege's owner.
_PACKED = {
    "squashfs": "mksquashfs TREE FILE -quiet -no-progress -noappend -processors 1",
    "erofs": "mkfs.erofs --quiet FILE TREE",
}
NAMES = (*_FORMATS, *_PACKED)
#: The directories of a packed image; each has one per layer.
PACKED_LAYERS = {"top": {**content.LOWER, **content.LINK}, "below": content.BELOW}
_OWNERS = {ROOT: 0, USERNS: NOBODY}


def make(names: Sequence[str], place: pathlib.Path) -> tuple[dict[str, pathlib.Path], dict[str, str]]:
    """Make these; give the images, and for what could not be made why not."""
    made, missing = {}, {}
    for name in names:
        try:
            made[name] = _make(name, place)
        except NotMadeError as e:
            missing[name] = str(e)
    return made, missing


def copy(image: pathlib.Path, target: pathlib.Path) -> None:
    """Copy an image with its holes."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", image, target], check=True)


def _make(name: str, place: pathlib.Path) -> pathlib.Path:
    image = place / f"{name}.img"
    if name in _FORMATS:
        command, size = _FORMATS[name]
        with open(image, "wb") as file:
            file.truncate(size << 20)
    else:
        command = _PACKED[name]
    words = [{"FILE": str(image), "TREE": str(place / "tree")}.get(word, word) for word in command.split()]
    program = shutil.which(words[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        raise NotMadeError(f"{words[0]} is not installed; hack/setup installs it")
    if name in _PACKED and not (place / "tree").exists():
        _tree(place / "tree")
    done = subprocess.run([program, *words[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotMadeError(f"{words[0]}: {(done.stderr or done.stdout).strip()}")
    return image


def _tree(place: pathlib.Path) -> None:
    for privilege, owner in _OWNERS.items():
        for layer, tree in PACKED_LAYERS.items():
            (place / privilege / layer).mkdir(parents=True)
            trees.write(tree, place / privilege / layer)
        give(place / privilege, owner)


def give(place: pathlib.Path | str, owner: int) -> None:
    """Make all of a tree somebody's."""
    os.lchown(place, owner, owner)
    for directory, directories, files in os.walk(place):
        for name in (*directories, *files):
            os.lchown(os.path.join(directory, name), owner, owner)
