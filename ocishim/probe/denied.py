"""Which switch of this host forbids a user namespace; asked when one was refused."""

import os
from errno import ENOSPC, EUSERS

from .. import refusal
from ..errors import HostError

_SWITCHES = (
    ("kernel.unprivileged_userns_clone", "0", "OVL-KRN-11"),
    ("user.max_user_namespaces", "0", "OVL-KRN-12"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "OVL-KRN-10"),
)


def explain(errno: int) -> HostError:
    """Say why this process may not have a user namespace, by what the kernel answered and the sysctls."""
    for name, value, page in _SWITCHES:
        if _sysctl(name) == value:
            return refusal.host(page, sysctl=name, value=value, program="ocishim")
    if errno in (ENOSPC, EUSERS):
        return refusal.host("OVL-KRN-12", sysctl="user.max_user_namespaces", value="used up")
    return refusal.host("OVL-KRN-15", uid=os.geteuid())


def _sysctl(name: str) -> str:
    try:
        with open("/proc/sys/" + name.replace(".", "/"), encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
