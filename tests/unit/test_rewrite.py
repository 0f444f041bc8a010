"""The spec that the runtime gets: each overlay a bind mount, all else byte for byte."""

import json

import pytest

from ocishim import overlay, rewrite

TEXT = """{ "ociVersion":"1.0.2", "x": 1.10, "mounts": [
  {"destination": "/proc", "type": "proc", "source": "proc"},
  { "type": "overlay", "destination": "/\\u006fv", "x-own": [1e5, {"a": 0.10}],
    "options": ["lowerdir=/a", OPTIONS], "source": "overlay" },
  {"destination":"/two","options":["lowerdir=/a"],"type":"overlay"}
], "y": {"z": 12345678901234567890} }
"""


def rewritten(kind: str, *options: str) -> str:
    """Rewrite TEXT with these options of its first overlay."""
    text = TEXT.replace("OPTIONS", ", ".join(map(json.dumps, options or ["rw"])))
    spec = json.loads(text)
    binds = [(mount, f"/stage/{mount.index}") for mount in overlay.find(spec)]
    return rewrite.spec(text, binds, kind)


def test_only_what_makes_an_overlay_a_bind_is_changed() -> None:
    actual = rewritten("runc", "userxattr", "ro", "rslave")

    expected = """{ "ociVersion":"1.0.2", "x": 1.10, "mounts": [
  {"destination": "/proc", "type": "proc", "source": "proc"},
  { "type": "bind", "destination": "/\\u006fv", "x-own": [1e5, {"a": 0.10}],
    "options": ["rbind","ro","rslave"], "source": "/stage/1" },
  {"source":"/stage/2","destination":"/two","options":["rbind"],"type":"bind"}
], "y": {"z": 12345678901234567890} }
"""
    assert expected == actual


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("runc", ["rw"], ["rbind"]),
        ("crun", ["ro", "nosuid", "nodev", "noexec"], ["rbind", "ro", "nosuid", "nodev", "noexec"]),
        ("runc", ["noatime", "nodiratime", "sync"], ["rbind", "noatime", "nodiratime"]),
        ("runc", ["noexec", "ro"], ["rbind", "ro", "noexec"]),
        ("runc", ["rro", "rshared"], ["rbind", "ro", "rshared"]),
        ("runsc", ["ro", "noatime", "private"], ["rbind", "ro", "private"]),
        ("runsc", ["rnoexec", "sync"], ["rbind", "noexec"]),
    ],
)  # fmt: skip
def test_a_bind_repeats_the_flags_that_its_runtime_knows(
    kind: str, options: list[str], expected: list[str]
) -> None:
    spec = json.loads(rewritten(kind, *options))

    assert expected == spec["mounts"][1]["options"]
