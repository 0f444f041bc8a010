"""What the layers of a case hold, so that each operation has something of its own to work on."""

import hashlib

from .trees import Tree


def _program() -> bytes:
    """Give a static x86-64 program of 132 bytes that exits with 42."""
    code = bytes.fromhex("bf2a000000b83c0000000f05")  # mov edi, 42; mov eax, 60 (exit); syscall
    header = bytes.fromhex("7f454c4602010100000000000000000002003e0001000000")
    header += (0x400078).to_bytes(8, "little") + (64).to_bytes(8, "little") + bytes(12)
    header += bytes.fromhex("400038000100000000000000")
    size = (120 + len(code)).to_bytes(8, "little")
    segment = bytes.fromhex("0100000005000000") + bytes(8)
    segment += (0x400000).to_bytes(8, "little") * 2 + size * 2 + (0x1000).to_bytes(8, "little")
    return header + segment + code


#: Larger than a page and than what a file system keeps in an inode, and no two blocks alike.
BIG = b"".join(hashlib.sha256(str(at).encode()).digest() for at in range(5000))
EXITS_WITH = 42

LOWER: Tree = {
    "file": b"of the lower layer\n",
    "other": b"untouched\n",
    "doomed": b"to be removed\n",
    "again": b"to be removed and made again\n",
    "short": b"to be truncated\n",
    "mode": b"to be chmodded\n",
    "linked": b"to be linked\n",
    "renamed": b"to be renamed\n",
    "marked": b"to get an extended attribute\n",
    "empty": b"",
    "big": BIG,
    "program": _program(),
    "deep": None,
    "deep/er": None,
    "deep/er/still": None,
    "deep/er/still/leaf": b"deep down\n",
    "deep/beside": b"beside\n",
    "tree": None,
    "tree/a": b"a\n",
    "tree/b": b"b\n",
    "tree/c": None,
    "tree/c/d": b"d\n",
    "mover": None,
    "mover/x": b"x\n",
    "hollow": None,
}
#: Only where the file system has symbolic links.
LINK: Tree = {"link": "file"}

#: A second layer below: more for directories of the first, other content that must not be seen.
BELOW: Tree = {
    "file": b"hidden: the layer above has it\n",
    "below": b"of the second layer\n",
    "tree": None,
    "tree/e": b"e\n",
    "tree/c": None,
    "tree/c/f": b"f\n",
    "deep": None,
    "deep/er": b"hidden: the layer above has a directory here\n",
    "hollow": b"hidden too\n",
}
