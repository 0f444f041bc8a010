"""Labels of layers against the label of a container's processes."""

import pytest

from ocishim import labels

PROCESS = "system_u:system_r:container_t:s0:c1,c2"
FILE = "system_u:object_r:container_file_t:s0"


@pytest.mark.parametrize(
    ("label", "process", "is_written", "usable"),
    [
        (FILE, PROCESS, True, True),
        (f"{FILE}:c1,c2", PROCESS, True, True),
        (f"{FILE}:c2", PROCESS, True, True),
        (f"{FILE}:c1,c3", PROCESS, True, False),  # of another container
        (f"{FILE}:c3", "u:r:container_t:s0-s0:c0.c1023", True, True),
        (f"{FILE}:c0.c4", PROCESS, False, False),
        (f"{FILE}:c1", "u:r:container_t:s0", False, False),
        ("u:object_r:svirt_sandbox_file_t:s0", PROCESS, True, True),
        ("u:object_r:container_ro_file_t:s0", PROCESS, False, True),
        ("u:object_r:container_ro_file_t:s0", PROCESS, True, False),
        ("u:object_r:usr_t:s0", PROCESS, False, True),
        ("u:object_r:user_home_t:s0", PROCESS, False, False),
        ("u:object_r:user_home_t:s0", "u:r:spc_t:s0", True, True),  # not confined
        ("u:object_r:user_home_t:s0", "u:r:unconfined_t:s0-s0:c0.c1023", True, True),
        ("user_home_t", PROCESS, False, False),  # no label at all
        ("u:object_r:container_file_t", PROCESS, True, True),  # a policy without levels
    ],
)
def test_usable(label: str, process: str, is_written: bool, usable: bool) -> None:
    assert labels.is_usable(label, process, is_written=is_written) == usable
