"""Makes a program start with a dynamic linker of another place: how one built for a newer glibc runs here."""

import pathlib
import struct

_PT_INTERP = 3
#: Offsets in a 64-bit ELF header: of the program headers' offset, and of their size and number.
_PHOFF, _PHENTSIZE = 32, 54


def relink(program: bytes, interpreter: pathlib.Path) -> bytes:
    """Give the program with this interpreter: its path at the end of the file, PT_INTERP pointing there.

    `ld.so PROGRAM` is no way for User Mode Linux: it executes /proc/self/exe again, and that is then ld.so.
    """
    if program[:5] != b"\x7fELF\x02":
        raise ValueError("not a 64-bit ELF file")
    changed = bytearray(program)
    [table] = struct.unpack_from("<Q", program, _PHOFF)
    size, count = struct.unpack_from("<HH", program, _PHENTSIZE)
    for header in range(table, table + size * count, size):
        if struct.unpack_from("<I", program, header)[0] == _PT_INTERP:
            path = bytes(interpreter) + b"\0"
            struct.pack_into("<Q", changed, header + 8, len(changed))  # p_offset
            struct.pack_into("<QQ", changed, header + 32, len(path), len(path))  # p_filesz, p_memsz
            return bytes(changed) + path
    raise ValueError("a static program: no PT_INTERP")
