"""Trials that went well: only an equal one, noted by us since the boot, counts."""

import os
import pathlib
from collections.abc import Sequence

import pytest
from unit.steps import EXT4, layer, make, overlays

from ocishim import filesystems, initial
from ocishim.candidate import Candidate
from ocishim.probe import cache
from ocishim.probe.here import Here
from ocishim.step import Step

WORDS = ("lowerdir=/a:/b", "upperdir=/u", "workdir=/w", "userxattr", "nosuid")


class Trial:
    """What a key is made of; `change` one thing of it."""

    def __init__(self) -> None:
        self.words: Sequence[str] = WORDS
        self.backend = "kernel"
        self.identities = {"/u": "01", "/w": "01", "/a": "02", "/b": "03", "/d": "04"}
        self.magics: dict[str, int] = {}
        self.here = Here()
        self.server = ""
        self.options: dict[str, str] = {"userxattr": ""}

    def key(self) -> str:
        [mount] = overlays(self.words)
        named = [("upperdir", mount.upper), ("workdir", mount.work)] if mount.upper else []
        named += [("lowerdir", path) for path in mount.lower] + [("datadir", path) for path in mount.data]
        step = Step(
            mount,
            [
                layer(role, path, identity=self.identities[path], magic=self.magics.get(path, EXT4))
                for role, path in named
            ],
        )
        by = Candidate(self.backend)
        by.options.update(self.options)
        return cache.key(step, by, self.here, self.server)


def _has(path: str, key: str) -> bool:
    return cache.has(cache.read(path), key)


def test_equal_trials_have_one_key() -> None:
    assert Trial().key() == Trial().key() != ""
    assert "\n" not in Trial().key()


#: One thing that differs, and so the trial must be made.
CHANGES: dict[str, dict[str, object]] = {
    "another backend": {"backend": "fuse"},
    "another option": {"options": {"userxattr": "", "index": "off"}},
    "no option": {"options": {}},
    "another value": {"options": {"xino": "on"}},
    "another flag": {"words": [*WORDS[:-1], "nodev"]},
    "read-only": {"words": [*WORDS, "ro"]},
    "a security label": {"words": [*WORDS, "context=x"]},
    "no upper layer": {"words": ["lowerdir=/a:/b", "nosuid"]},
    "data-only layers": {"words": ["lowerdir=/a:/b::/d", *WORDS[1:]]},
    "a user namespace": {"here": Here(is_initial=False)},
    "another fuse-overlayfs": {"server": "/usr/bin/fuse-overlayfs 1:2 3"},
    "other capabilities": {"here": Here(rights="000001fffffffffe")},
    "the upper file system": {"identities": {"/u": "01", "/w": "05", "/a": "02", "/b": "03"}},
    "a lower file system": {"identities": {"/u": "01", "/w": "01", "/a": "02", "/b": "05"}},
    "lower file systems in another order": {"identities": {"/u": "01", "/w": "01", "/a": "03", "/b": "02"}},
    "a single lower layer": {"words": ["lowerdir=/a", *WORDS[1:]]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_trial_that_differs_has_another_key(change: str) -> None:
    trial = Trial()
    for name, value in CHANGES[change].items():
        setattr(trial, name, value)

    assert trial.key() != ""
    assert trial.key() != Trial().key()


@pytest.mark.parametrize(
    "field", ["release", "version"], ids=["another kernel", "another build of the kernel"]
)
def test_another_kernel_has_another_key(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    before = Trial().key()
    found = [*os.uname()]
    found[{"release": 2, "version": 3}[field]] += "x"
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(found))

    assert Trial().key() != before


def test_another_boot_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Trial().key()
    real = cache._line
    monkeypatch.setattr(cache, "_line", lambda path: "another" if path.endswith("/boot_id") else real(path))
    monkeypatch.setattr(cache, "_booted", [])

    assert Trial().key() != before


def test_another_version_of_ocishim_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Trial().key()
    monkeypatch.setattr(cache, "__version__", "99")

    assert Trial().key() != before


def test_another_id_map_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial()
    trial.here = Here(is_initial=False)
    before = trial.key()
    real = cache._line
    for file in ("uid_map", "gid_map"):
        monkeypatch.setattr(
            cache, "_line", lambda path, end=file: "0 1 2" if path.endswith(end) else real(path)
        )

        assert trial.key() != before


@pytest.mark.parametrize("option", ["index", "nfs_export"])
def test_what_compares_directories_makes_no_key(option: str) -> None:
    trial = Trial()
    trial.options = {option: "on"}
    assert trial.key() == ""

    trial.options = {option: "off"}
    assert trial.key() != ""


@pytest.mark.parametrize("is_initial", [True, False])
def test_in_a_user_namespace_the_very_directories_count(is_initial: bool) -> None:
    """Their owners may be unmapped, in other directories of the same file system."""
    one, two = Trial(), Trial()
    one.here = two.here = Here(is_initial)
    two.words = ["lowerdir=/a:/c", *WORDS[1:]]
    two.identities["/c"] = two.identities["/b"]

    assert (one.key() == two.key()) == is_initial


@pytest.mark.parametrize("path", ["/w", "/a", "/b"])
def test_a_layer_that_the_kernel_does_not_identify_makes_no_key(path: str) -> None:
    trial = Trial()
    trial.identities[path] = ""

    assert trial.key() == ""


@pytest.mark.parametrize("magic", filesystems.REMOTE)
@pytest.mark.parametrize("path", ["/w", "/a", "/b"])
def test_a_layer_that_a_server_answers_for_makes_no_key(path: str, magic: int) -> None:
    trial = Trial()
    trial.magics[path] = magic

    assert trial.key() == ""


def test_a_key_has_no_line_break_whatever_an_option_holds() -> None:
    trial = Trial()
    trial.options = {"context": "a\nb|c"}

    assert "\n" not in trial.key()


KEY = "version|größe|\udc80"


def file(tmp_path: pathlib.Path) -> str:
    return str(tmp_path / "ocishim/trials")


def test_what_was_noted_is_known(tmp_path: pathlib.Path) -> None:
    path = file(tmp_path)
    for key in ("one", KEY, "three"):
        cache.note(path, key)

    assert [_has(path, key) for key in ("one", KEY, "three", "two")] == [True, True, True, False]
    assert (os.stat(path).st_mode & 0o777, os.stat(os.path.dirname(path)).st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize(
    "other",
    [
        KEY[:-1], KEY[1:], KEY + "|", "|" + KEY, KEY.upper(), f" {KEY}", f"{KEY} ", KEY + "\r", "",
        "x" * 300_000, "\0" + KEY,
    ],
)  # fmt: skip
def test_only_a_whole_line_counts(tmp_path: pathlib.Path, other: str) -> None:
    path = file(tmp_path)
    cache.note(path, other)

    assert _has(path, KEY) is False


@pytest.mark.parametrize(
    "content",
    [b"", b"\n" * 1000, b"\xff\xfe\0", b"one|\xc3", bytes(range(256)) * 20, b"x" * 10_000_000],
    ids=["empty", "lines", "not UTF-8", "half a character", "bytes", "large"],
)
def test_garbage_decides_nothing_and_hinders_nothing(tmp_path: pathlib.Path, content: bytes) -> None:
    path = file(tmp_path)
    os.mkdir(os.path.dirname(path))
    pathlib.Path(path).write_bytes(content)
    os.chmod(path, 0o600)

    before = _has(path, KEY)
    cache.note(path, "")
    cache.note(path, KEY)

    assert (before, _has(path, KEY)) == (False, True)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o777])
def test_a_file_that_others_may_write_is_not_believed(tmp_path: pathlib.Path, mode: int) -> None:
    path = file(tmp_path)
    cache.note(path, KEY)
    os.chmod(path, mode)

    assert _has(path, KEY) is False


def test_a_file_of_somebody_else_is_not_believed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path)
    cache.note(path, KEY)
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)

    assert _has(path, KEY) is False


@pytest.mark.parametrize("why", ["others may write it", "somebody else's", "another name"])
def test_a_file_that_is_not_ours_alone_is_not_written(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    path = file(tmp_path)
    cache.note(path, "x" * 260_000)
    before = pathlib.Path(path).read_bytes()
    if why == "others may write it":
        os.chmod(path, 0o666)
    elif why == "another name":
        os.link(path, tmp_path / "precious")
    else:
        somebody = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: somebody)

    cache.note(path, KEY)

    assert (pathlib.Path(path).read_bytes() == before, cache.has(cache.read(path), KEY)) == (True, False)


def test_where_the_boot_is_not_told_there_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_booted", [""])

    assert Trial().key() == ""


def test_a_symbolic_link_is_neither_read_nor_written(tmp_path: pathlib.Path) -> None:
    path, target = file(tmp_path), tmp_path / "target"
    os.mkdir(os.path.dirname(path))
    target.write_text(f"{KEY[:-1]}\n")
    target.chmod(0o600)
    os.symlink(target, path)

    cache.note(path, KEY)

    assert (_has(path, KEY), _has(path, KEY[:-1])) == (False, False)
    assert target.read_text() == f"{KEY[:-1]}\n"


def _directory(path: str) -> None:
    os.makedirs(path)


def _fifo(path: str) -> None:
    """Opening one waits for somebody at its other end."""
    os.mkdir(os.path.dirname(path))
    os.mkfifo(path, 0o600)


def _file_for_directory(path: str) -> None:
    pathlib.Path(os.path.dirname(path)).touch()


def _link_loop(path: str) -> None:
    os.symlink("ocishim", os.path.dirname(path))


def _no_parent(path: str) -> None:
    os.rmdir(os.path.dirname(os.path.dirname(path)))


@pytest.mark.parametrize("make_", [_directory, _fifo, _file_for_directory, _link_loop, _no_parent])
def test_what_cannot_be_written_is_no_error(tmp_path: pathlib.Path, make_: object) -> None:
    (tmp_path / "in").mkdir()
    path = file(tmp_path / "in")
    make_(path)  # type: ignore[operator]  # one of the functions above

    cache.note(path, KEY)

    assert _has(path, KEY) is False


def test_a_full_file_begins_anew(tmp_path: pathlib.Path) -> None:
    path = file(tmp_path)
    for number in range(600):
        cache.note(path, f"{number}|" + "x" * 1000)

    assert os.stat(path).st_size <= cache._LARGEST
    assert _has(path, "599|" + "x" * 1000)
    assert not _has(path, "0|" + "x" * 1000)


@pytest.mark.parametrize(("uid", "is_initial"), [(7, True), (0, False)])
def test_a_users_file_is_the_users_own(monkeypatch: pytest.MonkeyPatch, uid: int, is_initial: bool) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(initial, "is_here", lambda: is_initial)

    assert cache.path_in(None) == "/run/user/7/ocishim/trials"


@pytest.mark.parametrize(
    ("directory", "runtime", "expected"),
    [
        ("", "/run/user/7", ""),
        ("/c", "/run/user/7", "/c/trials"),
        (None, "/run/user/7", "/run/ocishim/trials" if os.geteuid() == 0 else "/run/user/7/ocishim/trials"),
        (None, "", "/run/ocishim/trials"),
    ],
)
def test_the_file_is_where_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, directory: str | None, runtime: str, expected: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)

    assert cache.path_in(directory) == expected


def test_a_plan_has_a_candidate_to_make_a_key_of() -> None:
    [step] = make("auto", WORDS)

    assert cache.key(step, step.candidates[0], Here()) == ""  # its layers are made up: no identity
