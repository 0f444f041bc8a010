"""config.json of a bundle, and the layers that it names, as they are on disk: what is refused, and how."""

import json
import os
import pathlib

import pytest

from ocishim import bundle, overlay, plan, prepare
from ocishim.errors import SpecError
from ocishim.probe import layer
from ocishim.probe.here import Here
from ocishim.step import Step

WRONG = [
    (None, "does not exist; a bundle holds a config.json"),
    ("directory", "not a regular file; a bundle holds a config.json"),
    ("fifo", "not a regular file; a bundle holds a config.json"),
    ("loop", "ELOOP, symbolic links or layers that contain each other; a bundle holds a config.json"),
    ("50 MiB", "50 MiB; a spec has 16 MiB at most"),
    (b"", "not the JSON of a spec: the text ends too early, at line 1, column 1; correct it; "
     "ocishim explain OVL-RUN-08"),
    (b"{\n x",
     "not the JSON of a spec: expecting property name enclosed in double quotes, at line 2, column 2; "
     "correct it; ocishim explain OVL-RUN-08"),
    (b'{"a": 1, "a": 1}', 'not the JSON of a spec: key "a" stands twice in one object; correct it; '
     'ocishim explain OVL-RUN-08'),
    (b'{"a":' * 100_000, "not the JSON of a spec: nested too deep; correct it; ocishim explain OVL-RUN-08"),
    (b'{"a": "\xff"}', "not UTF-8 at byte 7; correct it; ocishim explain OVL-RUN-08"),
    (b"[]", "not a JSON object; a spec is { … }; ocishim explain OVL-RUN-08"),
    (b"null", "not a JSON object; a spec is { … }; ocishim explain OVL-RUN-08"),
]  # fmt: skip


def test_the_current_directory_is_gone(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(SpecError) as e:
        bundle.read(".")

    assert str(e.value) == ".: the current directory does not exist any more; give the bundle's whole path"


@pytest.mark.parametrize(("content", "why"), WRONG, ids=[why for _, why in WRONG])
def test_a_wrong_config_is_refused(tmp_path: pathlib.Path, content: bytes | str | None, why: str) -> None:
    config = tmp_path / "config.json"
    if content == "directory":
        config.mkdir()
    elif content == "fifo":
        os.mkfifo(config)
    elif content == "loop":
        config.symlink_to(config)
    elif content == "50 MiB":
        config.touch()
        os.truncate(config, 50 << 20)
    elif isinstance(content, bytes):
        config.write_bytes(content)

    with pytest.raises(SpecError) as refusal:
        bundle.read(str(tmp_path))

    assert f"{config}: {why}" == str(refusal.value)


def test_a_bundle_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SpecError) as refusal:
        bundle.read(f"{tmp_path}/none")

    assert f"{tmp_path}/none: no such bundle; give a bundle's directory" == str(refusal.value)


CASE = 'runc and runsc would read it as "{0}", crun would not; write "{0}"'


@pytest.mark.parametrize(
    ("spec", "where", "name"),
    [
        ({"Mounts": []}, "Mounts", "mounts"),
        ({"mounts": [{}, {"Type": "overlay"}]}, "mounts[1].Type", "type"),
        ({"mounts": [{"option\u017f": []}]}, "mounts[0].option\u017f", "options"),  # a long s is an s to Go
        ({"linux": {}, "LINUX": {}}, "LINUX", "linux"),
    ],
)
def test_a_field_in_another_case_is_refused(
    tmp_path: pathlib.Path, spec: dict[str, object], where: str, name: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(spec))

    with pytest.raises(SpecError) as refusal:
        bundle.read(str(tmp_path))

    assert f"{where}: {CASE.format(name)}" == str(refusal.value)


def test_a_bundle_is_read_as_it_is_and_its_paths_are_whole(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '{"a": 1.0,\r\n "é": "\\ud800"}\n'
    (tmp_path / "config.json").write_bytes(text.encode())
    (tmp_path / "other.json").write_text("{}")
    monkeypatch.chdir(tmp_path)

    found, other = bundle.read("."), bundle.read(".", "other.json")

    assert (str(tmp_path), f"{tmp_path}/config.json", text, {"a": 1.0, "é": "\ud800"}) == (
        found.directory, found.config, found.text, found.spec,
    )  # fmt: skip
    assert (str(tmp_path), f"{tmp_path}/other.json", {}) == (other.directory, other.config, other.spec)


#: lowerdir, upperdir and workdir in a bundle with directories l, l/in, m, u and w, a file f, a link to l
#: and a link to itself; then what is said behind "mounts[0].options: ", with {b} for the bundle.
_CORRECT = (
    "correct the path, or make the directory; ocishim takes relative ones from the bundle; "
    "ocishim explain OVL-LOW-21"
)
_SIBLINGS = "make them siblings; ocishim explain OVL-OPT-11"
_SEPARATE = "name each directory once and use separate trees; ocishim explain OVL-OPT-12"
LAYERS = [
    ("none", "u", "w", f"lowerdir={{b}}/none: does not exist; {_CORRECT}"),
    ("l:f", "u", "w",
     "lowerdir={b}/f is not a directory; bind the file, or mount the image and name the directory; "
     "ocishim explain OVL-LOW-19"),
    ("self", "u", "w",
     f"lowerdir={{b}}/self: ELOOP, symbolic links or layers that contain each other; {_CORRECT}"),
    ("l:" + 300 * "x", "u", "w",
     f"lowerdir={{b}}/{300 * 'x'}: ENAMETOOLONG, file name too long; {_CORRECT}"),
    ("l", "none", "w", f"upperdir={{b}}/none: does not exist; {_CORRECT}"),
    ("l", "u", "none", f"workdir={{b}}/none: does not exist; {_CORRECT}"),
    ("l", "u", "u/.", f"workdir={{b}}/u is upperdir; {_SIBLINGS}"),
    ("m", "l", "l/in", f"workdir={{b}}/l/in lies inside upperdir={{b}}/l; {_SIBLINGS}"),
    ("m", "u", "/dev/shm",
     "workdir=/dev/shm and upperdir={b}/u are on different file systems; put both into one directory below "
     "one mount; ocishim explain OVL-OPT-10"),
    ("l:m:link", "u", "w", f"lowerdir={{b}}/l is the same directory as lowerdir={{b}}/l; {_SEPARATE}"),
    ("l:link/in", "u", "w", f"lowerdir={{b}}/l/in lies inside lowerdir={{b}}/l; {_SEPARATE}"),
    ("u", "u", "w", f"lowerdir={{b}}/u is the same directory as upperdir={{b}}/u; {_SEPARATE}"),
]  # fmt: skip


def _make_layers(directory: pathlib.Path) -> None:
    for name in ("l/in", "m", "u", "w"):
        (directory / name).mkdir(parents=True)
    (directory / "f").touch()
    (directory / "link").symlink_to("l")
    (directory / "self").symlink_to("self")


def _plan(directory: pathlib.Path, lower: str, upper: str, work: str) -> Step:
    options = [f"lowerdir={lower}", f"upperdir={upper}", f"workdir={work}"]
    mounts = overlay.find({"mounts": [{"destination": "/ov", "type": "overlay", "options": options}]})
    [mount] = mounts
    found = [layer.look(role, path, str(directory)) for role, path in layer.named(mount)]
    [step] = plan.make(mounts, [(found, [])], Here(), "auto")
    return step


@pytest.mark.parametrize(("lower", "upper", "work", "message"), LAYERS, ids=[row[-1] for row in LAYERS])
def test_wrong_layers_on_disk_are_refused(
    tmp_path: pathlib.Path, lower: str, upper: str, work: str, message: str
) -> None:
    _make_layers(tmp_path)

    with pytest.raises(SpecError) as refusal:
        _plan(tmp_path, lower, upper, work)

    assert f"mounts[0]: {message.format(b=tmp_path)}" == str(refusal.value)


def test_layers_are_taken_by_their_real_paths(tmp_path: pathlib.Path) -> None:
    _make_layers(tmp_path)

    step = _plan(tmp_path, f"link:{tmp_path}/m/../m", "./u", "l/../w")

    assert [f"{tmp_path}/l", f"{tmp_path}/m", f"{tmp_path}/u", f"{tmp_path}/w"] == [
        *step.lower,
        step.upper,
        step.work,
    ]


@pytest.mark.parametrize(
    ("namespaces", "message"),
    [
        ([{"type": "pid", "path": "/p"}, {"type": "mount"}], None),
        (None, None),
        (
            [{"type": "pid"}, {"type": "mount", "path": "/proc/1/ns/mnt"}],
            "linux.namespaces[1].path: /proc/1/ns/mnt: an overlay would not be seen in a mount namespace "
            "made by others; remove the path",
        ),
    ],
)
def test_a_mount_namespace_by_path_is_refused(namespaces: object, message: str | None) -> None:
    def refusal() -> str | None:
        try:
            prepare._check_namespaces({"linux": {"namespaces": namespaces}})
        except SpecError as e:
            return str(e)
        return None

    assert message == refusal()
