"""What /etc/subuid grants to a user, as newuidmap reads it, and as the kernel takes it."""

import pytest

from ocishim.probe import subordinate

Ranges = list[tuple[int, int]]


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("me:100000:65536\n", [(100000, 65536)]),
        ("me:100000:65536", [(100000, 65536)]),
        ("you:1:2\n1000:100000:10\nme:0:1\n", [(100000, 10), (0, 1)]),
        ("me:100000:0\nme:100000:-5\nme:100000\nme:\nme\n:::\n\n", []),
        ("me: 100000:1\nme:100000:1 \nme:100000:1\r\n#me:100000:1\n", []),
        # Octal and hexadecimal to newuidmap, and digits that are none to it.
        ("me:0100000:10\nme:0x100000:10\nme:\u0661:1\nme:1_0:1\n", []),
        # The last id is 4294967294.
        ("me:4294967294:1\nme:4294967295:1\nme:100000:4294967295\n", [(4294967294, 1)]),
        (f"me:{'9' * 5000}:1\n", []),
    ],
)
def test_lines_of_subuid(text: str, ranges: Ranges) -> None:
    assert ranges == subordinate.granted(text, {"me", "1000"})


@pytest.mark.parametrize(
    ("granted", "ranges"),
    [
        ([(10, 5), (20, 5)], [(10, 5), (20, 5)]),
        ([(10, 5), (10, 5)], [(10, 5)]),  # granted by name, and by number
        ([(10, 5), (12, 5)], [(10, 5), (15, 2)]),
        ([(12, 2), (10, 6)], [(12, 2), (10, 2), (14, 2)]),
        ([(10, 9), (12, 2)], [(10, 9)]),
    ],
)
def test_ids_that_are_granted_twice_are_mapped_once(granted: Ranges, ranges: Ranges) -> None:
    assert ranges == subordinate.distinct(granted)
