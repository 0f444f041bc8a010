"""Which switch of this host forbids a user namespace; asked when one was refused."""

from errno import EAGAIN, ENOSPC, EUSERS

from .. import refusal
from ..errors import HostError, words

#: The switches that a kernel may have, the value by which each forbids, and the page on it.
SWITCHES = (
    ("kernel.unprivileged_userns_clone", "0", "OVL-KRN-11"),
    ("user.max_user_namespaces", "0", "OVL-KRN-12"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "OVL-KRN-10"),
)


def explain(errno: int, uid: int) -> HostError:
    """Say why a user may not have a user namespace, by what the kernel answered and the sysctls."""
    without = refusal.without_proc()
    if without:
        return without
    for name, value, page in SWITCHES:
        if _sysctl(name) == value:
            return refusal.host(page, sysctl=name, value=value, program="ocishim")
    if errno in (ENOSPC, EUSERS):
        return refusal.host("OVL-KRN-12", sysctl="user.max_user_namespaces", value="used up")
    return refusal.host("OVL-KRN-15", uid=uid)


def explain_map(why: str) -> HostError:
    """Say why newuidmap or newgidmap did not map the ids; `why` is what it said."""
    without = refusal.without_proc()
    if without:
        return without
    if words(EAGAIN) in why:
        remedy = "raise pids.max of the control group, or the user's limit of processes (ulimit -u)"
        return HostError("user namespace", why, remedy)
    if "owned by a different user" in why:
        return HostError("user namespace", why, "start it with the user's own group, not from newgrp or sg")
    if "killed by" in why:
        return HostError("user namespace", why, "dmesg may say more")
    remedy = "compare the maps with /etc/subuid and /etc/subgid"
    return HostError("user namespace", why, remedy, "OVL-UNS-11")


def _sysctl(name: str) -> str:
    try:
        with open("/proc/sys/" + name.replace(".", "/"), encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
