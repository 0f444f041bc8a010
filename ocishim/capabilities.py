"""Capabilities that go through exec although the user is not root (capabilities(7), ambient)."""

from . import linux

#: More than any kernel has.
_NUMBERS = range(64)


def keep() -> None:
    """Let what is exec'ed next have this process's capabilities, as far as that is possible.

    In a user namespace whose map has no root, exec takes them all otherwise.
    """
    try:
        sets = linux.capabilities()
        low, high = sets[4:8], sets[16:20]  # what is permitted becomes inheritable, too
        linux.set_capabilities(sets[:8] + low + sets[12:20] + high)
    except OSError:
        return
    for number in _NUMBERS:
        try:
            linux.raise_ambient(number)
        except OSError:  # this kernel has no such capability, or this process not
            continue
