"""The settings: what a file means, what is refused in it, and who may write it."""

import os
import pathlib

import pytest

from ocishim import settings
from ocishim.errors import HostError


def shown(found: settings.Settings) -> tuple[object, ...]:
    """Give all of the settings, to compare."""
    runtimes = [(name, r.path, r.args, r.kind, r.exclusive) for name, r in found.runtimes.items()]
    return found.overlay, found.fuse_overlayfs, runtimes


DEFAULT = [("runc", "", (), "", False), ("crun", "", (), "", False), ("runsc", "", (), "", False)]
GOOD = [
    ("", ("auto", "fuse-overlayfs", DEFAULT)),
    ("[runtimes]", ("auto", "fuse-overlayfs", DEFAULT)),
    ('overlay = "kernel"\nfuse_overlayfs = "/opt/fo"', ("kernel", "/opt/fo", DEFAULT)),
    (
        '[runtimes.runsc]\npath = "/opt/runsc"\nargs = ["--network=none"]\nexclusive = true\n'
        "[runtimes.crun]\n",
        (
            "auto",
            "fuse-overlayfs",
            [("runsc", "/opt/runsc", ("--network=none",), "", True), ("crun", "", (), "", False)],
        ),
    ),
    ('[runtimes.mine]\nkind = "runsc"', ("auto", "fuse-overlayfs", [("mine", "", (), "runsc", False)])),
    ("runtimes = {'a b' = {}}", ("auto", "fuse-overlayfs", [("a b", "", (), "", False)])),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", None), ('trial_cache = ""', ""), ('trial_cache = "/c/ocishim"', "/c/ocishim")],
)
def test_the_directory_of_the_trials_may_be_another_or_none(text: str, expected: str | None) -> None:
    assert expected == settings.parse(text, "/c").trial_cache


@pytest.mark.parametrize(("text", "expected"), GOOD)
def test_a_file_is_settings(text: str, expected: tuple[object, ...]) -> None:
    actual = shown(settings.parse(text, "/c"))

    assert expected == actual


REFUSED = [
    ("overlay = ", "settings /c: not TOML: Invalid value (at end of document); correct it there"),
    ("a = " + 9000 * "[", "settings /c: not TOML: nested too deep; correct it there"),
    ("Overlay = 1", '/c: unknown key "Overlay"; known here: overlay, fuse_overlayfs, trial_cache, runtimes'),
    ('overlay = "krenel"', '/c: overlay: "krenel" is none of auto, kernel, fuse; write auto'),
    ("overlay = true", "/c: overlay: true is none of auto, kernel, fuse; write auto"),
    ("overlay = []", "/c: overlay: [] is none of auto, kernel, fuse; write auto"),
    ('trial_cache = "cache"', '/c: trial_cache: "cache" is relative; write the whole path'),
    ("trial_cache = false", '/c: trial_cache: false is not a path; write "…"'),
    ('trial_cache = "/\\u0000"', '/c: trial_cache: "/\\x00" is not a path; write "…"'),
    ('fuse_overlayfs = ""', '/c: fuse_overlayfs: "" is not a path; write "…"'),
    ('fuse_overlayfs = "\\u0000"', '/c: fuse_overlayfs: "\\x00" is not a path; write "…"'),
    ("fuse_overlayfs = 1", '/c: fuse_overlayfs: 1 is not a path; write "…"'),
    ("runtimes = 1", "/c: runtimes: 1 is not a table; write [runtimes]"),
    ('[runtimes]\nrunc = "/bin/runc"',
     '/c: runtimes.runc: "/bin/runc" is not a table; write [runtimes.runc]'),
    ("[runtimes.runc]\nArgs = []",
     '/c: runtimes.runc: unknown key "Args"; known here: path, args, kind, exclusive'),
    ('[runtimes.runc]\npath = "runc"', '/c: runtimes.runc.path: "runc" is relative; write the whole path'),
    ("[runtimes.runc]\npath = false", '/c: runtimes.runc.path: false is not a path; write "…"'),
    ('[runtimes.runc]\nargs = "-x"', '/c: runtimes.runc.args: "-x" is not an array of strings; e.g. ["-x"]'),
    ("[runtimes.runc]\nargs = [1]", '/c: runtimes.runc.args: [1] is not an array of strings; e.g. ["-x"]'),
    ('[runtimes.runc]\nargs = ["\\u0000"]',
     "/c: runtimes.runc.args: NUL in it; no argument of a program can hold it"),
    ('[runtimes.runc]\nkind = "kata"',
     '/c: runtimes.runc.kind: "kata" is none of runc, crun, runsc; write runc'),
    ("[runtimes.runc]\nexclusive = 1", "/c: runtimes.runc.exclusive: 1 is not a boolean; true or false"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_wrong_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(HostError) as refusal:
        settings.parse(text, "/c")

    assert message == str(refusal.value)


def load(path: object, **more: str) -> settings.Settings:
    """Load the settings from a file, with more variables in the environment."""
    return settings.load(
        {b"OCISHIM_CONFIG": str(path).encode(), **{k.encode(): v.encode() for k, v in more.items()}}
    )


def test_the_file_is_the_one_that_the_environment_names(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "ü.toml"
    file.write_text('overlay = "fuse"')

    assert shown(load(file)) == ("fuse", "fuse-overlayfs", DEFAULT)
    assert shown(load(file, OCISHIM_OVERLAY="kernel")) == ("kernel", "fuse-overlayfs", DEFAULT)
    assert shown(load(file, OCISHIM_OVERLAY="")) == ("fuse", "fuse-overlayfs", DEFAULT)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "does not exist; correct or unset OCISHIM_CONFIG"),
        ("directory", "not a regular file; name a file"),
        ("loop", "ELOOP, symbolic links or layers that contain each other; make it readable"),
        (b"overlay = \xff", "not UTF-8 at byte 10; correct it"),
        (b"#" * ((1 << 20) + 1), "larger than 1 MiB; this is not a settings file"),
    ],
    ids=["missing", "directory", "loop", "latin", "large"],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: pathlib.Path, content: object, why: str) -> None:
    file = tmp_path / "config.toml"
    if content == "directory":
        file.mkdir()
    elif content == "loop":
        file.symlink_to(file)
    elif isinstance(content, bytes):
        file.write_bytes(content)

    with pytest.raises(HostError) as refusal:
        load(file)

    assert f"settings {file}: {why}" == str(refusal.value)


def test_a_wrong_mode_in_the_environment_is_refused(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "config.toml"
    file.touch()

    with pytest.raises(HostError) as refusal:
        load(file, OCISHIM_OVERLAY="none")

    assert str(refusal.value) == 'OCISHIM_OVERLAY: "none" is none of auto, kernel, fuse; write auto'


def _status(mode: int, uid: int) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, uid, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("what", "mode", "uid", "why"),
    [
        ("/d/c", 0o100644, 0, None),
        ("/d", 0o040755, 0, None),
        ("/", 0o041777, 0, None),  # others cannot replace root's entries of a sticky directory
        ("/d/c", 0o100664, 0, "others may write it (mode 0664); chmod go-w /d/c"),
        ("/d/c", 0o101666, 0, "others may write it (mode 1666); chmod go-w /d/c"),
        ("/d/c", 0o100600, 7, "owned by uid 7, who may change it; chown root /d/c"),
        ("/d", 0o040777, 0, "others may write it (mode 0777); chmod go-w /d"),
        ("/d", 0o040755, 7, "owned by uid 7, who may change it; chown root /d"),
    ],
)
def test_root_takes_settings_that_only_root_can_write(
    what: str, mode: int, uid: int, why: str | None
) -> None:
    def refusal() -> str | None:
        try:
            settings._check_owner("/d/c", what, _status(mode, uid), 0)
        except HostError as e:
            return str(e)
        return None

    on = "settings /d/c" if what == "/d/c" else f"settings /d/c: directory {what}"
    assert (why and f"{on}: {why}") == refusal()
