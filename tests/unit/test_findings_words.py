"""Findings that a user meets as a message or an errno of others: `ocishim explain` leads to the page."""

import pytest
from click.testing import CliRunner

from ocishim.cli.explain import explain

#: The finding, and what kernels, engines and programs print, as they print it.
TEXTS = {
    "OVL-FUS-08": "/proc seems to be mounted as readonly, it can lead to unexpected failures",
    "OVL-FUS-09": "tar: usr/lib: Cannot open: Too many open files",
    "OVL-KRN-05": "overlayfs: kernel too old to provide multiple lowers feature for overlay",
    "OVL-KRN-09": "overlayfs: maximum fs stacking depth exceeded",
    "OVL-OPT-03": "bufio.Scanner: token too long",
    "OVL-OPT-26": "VFS: Legacy: Option 'upperdir' contained comma",
    "OVL-OPT-27": 'overlayfs: "xino" feature enabled using 2 upper inode bits.',
    "OVL-RUN-01": 'W0101 vfs.go:730] ignoring unknown filesystem type "overlay"',
    "OVL-RUN-06": 'Error: workdir "/app" does not exist on container 4af3',
    "OVL-SEL-03": "cp: lsetfilecon /mnt/f: Operation not supported",
    "OVL-SEL-04": (
        "SELinux: mount invalid.  Same superblock, different security settings for (dev vda1, type ext4)"
    ),
    "OVL-SEL-05": 'apparmor="DENIED" operation="mount" info="failed flags match" error=-13 profile="lxc"',
}
#: Messages of findings that another table makes happen.
ALSO = {
    "OVL-KRN-17": "[   0.000000] Starting gVisor...",
    "OVL-SEL-01": "overlay is not supported for Rootless with SELinux",
    "OVL-LOW-17": "overlayfs: conflicting uuid detected in lower fs '/', falling back to xino=off,index=off.",
    "OVL-SEL-02": 'avc:  denied  { read } for  pid=1 comm="sh" name="f" tclass=file permissive=0',
}
#: Those that nothing but an errno tells: it is in their list.
ERRNOS = {
    "OVL-FUS-15": "EOPNOTSUPP",
    "OVL-LOW-10": "EOPNOTSUPP",
    "OVL-OPT-05": "ENOENT",
    "OVL-RUN-11": "EACCES",
}
#: What fails without any message: nothing leads there but the list of all.
SILENT = ("OVL-RUN-02", "OVL-RUN-15")


def said(*words: str) -> list[str]:
    """Give the ids that explain names, in order."""
    done = CliRunner().invoke(explain, words)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines() if line.strip().startswith("OVL-")]
    return [line[0] for line in lines]


@pytest.mark.parametrize("name", TEXTS | ALSO)
def test_a_message_leads_to_the_page(name: str) -> None:
    found = said("--text", (TEXTS | ALSO)[name])

    if name == "OVL-KRN-09":  # the kernel says the same of another cause
        assert found[:2] == ["OVL-KRN-08", name]
    else:
        assert found[0] == name


@pytest.mark.parametrize("name", ERRNOS)
def test_an_errno_lists_the_finding(name: str) -> None:
    assert name in said("--errno", ERRNOS[name])


@pytest.mark.parametrize("name", SILENT)
def test_what_fails_without_a_message_is_in_the_list(name: str) -> None:
    assert name in said()
