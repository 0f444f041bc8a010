"""Why a user namespace was refused, by the switches of the host."""

from errno import ENOSPC, EPERM

import pytest

from ocishim.errors import HostError
from ocishim.probe import denied

CLONE, APPARMOR = "kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns"
MOST = "user.max_user_namespaces"


@pytest.mark.parametrize(
    ("errno", "sysctls", "page", "why"),
    [
        (EPERM, {CLONE: "0"}, "OVL-KRN-11", f"{CLONE}=0: only root may make a user namespace on this host"),
        (EPERM, {CLONE: "1", APPARMOR: "1"}, "OVL-KRN-10", f"{APPARMOR}=1: AppArmor takes all"),
        (ENOSPC, {CLONE: "1", MOST: "0"}, "OVL-KRN-12", f"{MOST}=0: no further user namespace can be made"),
        (ENOSPC, {MOST: "100"}, "OVL-KRN-12", f"{MOST}=used up: no further user namespace can be made"),
        (EPERM, {MOST: "100", APPARMOR: "0"}, "OVL-KRN-15", "uid 1000 has no CAP_SYS_ADMIN here"),
    ],
)
def test_the_switch_is_named(
    monkeypatch: pytest.MonkeyPatch, errno: int, sysctls: dict[str, str], page: str, why: str
) -> None:
    monkeypatch.setattr(denied, "_sysctl", lambda name: sysctls.get(name, ""))

    found = denied.explain(errno, 1000)

    assert isinstance(found, HostError)
    assert (found.page, found.why[: len(why)]) == (page, why)
