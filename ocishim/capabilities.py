"""Capabilities that go through exec although the user is not root (capabilities(7), ambient)."""

import ctypes

_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_VERSION_3 = 0x20080522
#: More than any kernel has; those that it does not know are EINVAL.
_NUMBERS = range(64)


def keep() -> None:
    """Let what is exec'ed next have this process's capabilities, as far as that is possible.

    In a user namespace whose map has no root, exec takes them all otherwise.
    """
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()  # twice effective, permitted, inheritable
    if libc.capget(header, data):
        return
    data[2], data[5] = data[1], data[4]
    libc.capset(header, data)
    for number in _NUMBERS:
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)
