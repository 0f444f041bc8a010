"""The kernel's overlayfs in real containers, by each way that a kernel takes it."""

import os
import pathlib

import pytest
from harness import STAGE, Bundle, Host, Result, without_kernel_log
from kernel import rungs
from kernel.rungs import escape

NAMES = [
    "a:b,c\\d e",
    "\\:",
    "new\nline",
    "\"double\" 'single'",
    "größe-名前-\u2028",
    "form\x0cfeed\ttab#",
    "lowerdir=x",
    "-o",
]
#: Options and what /proc/self/mountinfo then shows of them.
OPTIONS = [
    ("index=on nfs_export=on redirect_dir=on uuid=on", "index=on nfs_export=on redirect_dir=on uuid=on"),
    ("metacopy=on redirect_dir=on verity=on", "metacopy=on redirect_dir=on verity=on"),
    ("userxattr default_permissions uuid=null", "userxattr default_permissions uuid=null"),
    ("redirect_dir=nofollow", "redirect_dir=nofollow"),
    ("sync lazytime dirsync", "sync lazytime dirsync"),
    ("xino=on", ""),  # all layers on one filesystem: inode numbers are right without it
]
FLAGS = [
    (["nosuid", "nodev", "noexec", "noatime"], {"rw", "nosuid", "nodev", "noexec", "noatime"}),
    (["strictatime", "nodiratime"], {"rw", "nodiratime"}),
    (["ro", "nodev"], {"ro", "nodev", "relatime"}),
    ([], {"rw", "relatime"}),
]


@pytest.fixture(params=rungs.RUNGS)
def rung(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("count", [1, 2, 50, 500])
def test_a_list_of_layers_is_mounted_whole(host: Host, bundle: Bundle, rung: str, count: int) -> None:
    names = [f"l{number:03}{'x' * 90 if count < 500 else ''}" for number in range(count)]
    for number, name in enumerate(names):
        bundle.layer(name, **{f"own-{number:03}": f"{number}\n", "top": f"{number}\n"})
    bundle.layer("upper")
    bundle.layer("work")
    bundle.overlay(f"lowerdir={':'.join(names)}", "upperdir=upper", "workdir=work")
    bundle.spec["process"]["args"][2] = "cat /ov/*; echo new >/ov/new"

    result = rungs.run(host, bundle, rung)

    assert Result(0, "".join(f"{number}\n" for number in (*range(count), 0)), "") == result
    assert (bundle.directory / "upper/new").read_text() == "new\n"


def test_a_list_too_long_for_a_line_of_mountinfo(host: Host, bundle: Bundle) -> None:
    """Programs in Go, runc first, read no line of 64 KiB."""
    names = [f"{number:03}{'x' * 200}" for number in range(500)]
    for name in names:
        bundle.layer(name, **{name[:3]: ""})
    bundle.layer("upper")
    bundle.layer("work")
    bundle.overlay(f"lowerdir={':'.join(names)}", "upperdir=upper", "workdir=work")
    bundle.spec["process"]["args"][2] = "ls /ov | wc -l; grep ' /ov ' /proc/self/mountinfo"

    result = rungs.run(host, bundle)

    count, mount = result.out.splitlines()
    assert (result.status, count, result.err) == (0, "500", "")
    assert len(mount) < 64 << 10
    assert f",upperdir={bundle.directory}/upper,workdir={bundle.directory}/work," in mount


@pytest.mark.parametrize("length", [300, 4000])
@pytest.mark.parametrize("role", ["lower", "upper"])
def test_one_long_path(host: Host, bundle: Bundle, rung: str, length: int, role: str) -> None:
    parts = [str(bundle.directory), role]
    while (left := length - len("/".join(parts))) > 1:
        parts.append("d" * min(left - 1, 200 if left != 202 else 199))
    directory = "/".join(parts[1:])
    assert len(f"{bundle.directory}/{directory}") == length
    names = {"lower": "low", "upper": "up", role: directory}
    bundle.layer(names["lower"], file="long\n")
    bundle.layer(names["upper"])
    bundle.layer("work")
    bundle.overlay(f"lowerdir={names['lower']}", f"upperdir={names['upper']}", "workdir=work")
    bundle.spec["process"]["args"][2] = "cat /ov/file; echo new >/ov/new"

    result = rungs.run(host, bundle, rung)

    assert Result(0, "long\n", "") == result
    assert (bundle.directory / names["upper"] / "new").read_text() == "new\n"


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_each_layer(host: Host, bundle: Bundle, rung: str, name: str) -> None:
    top, bottom, upper, work = (f"{kind}{name}" for kind in ("t", "b", "u", "w"))
    bundle.layer(top, one="1\n")
    bundle.layer(bottom, one="0\n", two="2\n")
    bundle.layer(upper)
    bundle.layer(work)
    bundle.overlay(
        f"lowerdir={escape(top)}:{escape(bottom)}", f"upperdir={escape(upper)}", f"workdir={escape(work)}"
    )
    bundle.spec["process"]["args"][2] = "cd /ov; cat one two; rm two; echo new >new; ls"

    result = rungs.run(host, bundle, rung)

    assert Result(0, "1\n2\nnew\none\n", "") == result
    assert (bundle.directory / upper / "new").read_text() == "new\n"


@pytest.mark.parametrize(
    "way", [["lowerdir=top:low::data"], ["lowerdir+=top", "lowerdir+=low", "datadir+=data"]]
)
def test_data_only_layers_hold_the_data(host: Host, bundle: Bundle, rung: str, way: list[str]) -> None:
    for name in ("upper", "work"):
        bundle.layer(name)
    bundle.layer("low", plain="plain\n")
    bundle.layer("data", blob="from data\n")
    file = bundle.layer("top", file="") / "file"
    os.truncate(file, len("from data\n"))
    os.setxattr(file, "trusted.overlay.metacopy", b"")
    os.setxattr(file, "trusted.overlay.redirect", b"/blob")
    bundle.overlay(*way, "upperdir=upper", "workdir=work", "metacopy=on")
    bundle.spec["process"]["args"][2] = "cd /ov; cat file plain; ls"

    assert Result(0, "from data\nplain\nfile\nplain\n", "") == rungs.run(host, bundle, rung)


@pytest.mark.parametrize(
    "options",
    [["lowerdir=one"], ["lowerdir=one:two"], ["lowerdir=one:two", "upperdir=up", "workdir=work", "ro"]],
)
def test_read_only(host: Host, bundle: Bundle, rung: str, options: list[str]) -> None:
    for name in ("two", "up", "work"):
        bundle.layer(name)
    bundle.layer("one", file="1\n")
    bundle.overlay(*options)
    bundle.spec["process"]["args"][2] = "cat /ov/file; ls /ov; echo x >/ov/new"

    result = rungs.run(host, bundle, rung)

    assert Result(1, "1\nfile\n", "sh: can't create /ov/new: Read-only file system\n") == result
    assert list((bundle.directory / "up").iterdir()) == []


@pytest.mark.parametrize(("flags", "shown"), FLAGS)
def test_flags_are_in_effect(
    host: Host, bundle: Bundle, rung: str, flags: list[str], shown: set[str]
) -> None:
    options = bundle.overlay()["options"]
    options += flags
    bundle.spec["process"]["args"] = ["grep", " /ov ", "/proc/self/mountinfo"]

    result = rungs.run(host, bundle, rung)

    assert (result.status, result.err) == (0, "")
    assert shown == set(result.out.split(" ")[5].split(","))


@pytest.mark.parametrize(("asked", "shown"), OPTIONS)
def test_options_are_in_effect(host: Host, bundle: Bundle, rung: str, asked: str, shown: str) -> None:
    options = bundle.overlay()["options"]
    options += asked.split()
    bundle.spec["process"]["args"] = ["grep", " /ov ", "/proc/self/mountinfo"]

    result = rungs.run(host, bundle, rung)

    assert (result.status, result.err) == (0, "")
    assert set(shown.split()) - set(result.out.split()[-1].split(",")) == set()


def test_volatile_is_in_effect(host: Host, bundle: Bundle, rung: str) -> None:
    """The kernel marks the workdir of a volatile overlay."""
    options = bundle.overlay()["options"]
    options.append("volatile")

    result = rungs.run(host, bundle, rung)

    assert Result(0, "", "") == result
    assert (bundle.directory / "work-upper/work/incompat/volatile").is_dir()


def test_a_container_sees_the_same_whatever_the_kernel_took(host: Host, tmp_path: pathlib.Path) -> None:
    seen = {}
    for rung in rungs.RUNGS:
        bundle = Bundle(tmp_path / rung)
        bundle.layer("lower", file="1\n")
        entry = bundle.overlay()
        entry["source"] = "some name"
        entry["options"] += ["nodev", "redirect_dir=on"]
        bundle.spec["process"]["args"][2] = (
            "ls -la /ov; stat -f -c %T,%S /ov; grep ' /ov ' /proc/self/mountinfo"
        )
        result = rungs.run(host, bundle, rung)
        *listing, mount = result.out.replace(str(bundle.directory), "BUNDLE").splitlines()
        fields = mount.replace("lowerdir+=", "lowerdir=").split(" ")[4:]
        seen[rung] = (result.status, result.err, [line.split()[:4] for line in listing], fields)

    assert seen["string"] == seen["fd"]
    assert seen["mount"] == seen["fd"]
    assert (*seen["fd"][:2], seen["fd"][3][3:5]) == (0, "", ["overlay", "some\\040name"])


def _with_a_tree_in_work(bundle: Bundle) -> None:
    bundle.layer("lower", file="1\n")
    bundle.overlay()
    bundle.layer("work-upper/work/a/b/c/d")
    bundle.spec["process"]["args"][2] = "echo x >/ov/new; cat /ov/*; grep ' /ov ' /proc/self/mountinfo"


def test_a_workdir_that_the_kernel_would_not_empty_is_refused(host: Host, bundle: Bundle) -> None:
    _with_a_tree_in_work(bundle)

    result = rungs.run(host, bundle)

    assert result == Result(
        1,
        "",
        f"ocishim: mounts[1]: workdir={bundle.directory}/work-upper cannot be used (ENOTEMPTY from removing "
        "work/work), so the overlay would come up read-only; empty workdir or name a new one, on a file "
        "system where root of the host may write; ocishim explain OVL-OPT-16\n",
    )


def test_with_such_a_workdir_it_is_made_by_fuse_in_auto(host: Host, bundle: Bundle) -> None:
    _with_a_tree_in_work(bundle)

    result = rungs.run(host, bundle, mode="auto")

    *files, mount = result.out.splitlines()
    assert (result.status, result.err, files) == (0, "", ["1", "x"])
    assert " - fuse.fuse-overlayfs " in mount


def test_a_layer_that_the_kernel_does_not_take_is_refused(host: Host, bundle: Bundle, rung: str) -> None:
    bundle.layer("lower")
    bundle.overlay("lowerdir=/proc:lower")

    result = rungs.run(host, bundle, rung)

    step = f"mount {STAGE}/1" if rung != "fd" else "fsconfig"
    assert without_kernel_log(result) == Result(
        1,
        "",
        f"ocishim: mounts[1]: lowerdir=/proc is on proc, which allows no overlay on it [{step}: EINVAL, "
        "invalid argument]; bind single files or directories of it, or copy what is needed; "
        "ocishim explain OVL-LOW-23\n",
    )


def test_an_upper_made_with_other_lowers_and_an_index_is_refused(
    host: Host, bundle: Bundle, rung: str
) -> None:
    bundle.layer("other", file="2\n")
    options = bundle.overlay()["options"]
    options.append("index=on")
    assert Result(0, "", "") == rungs.run(host, bundle)
    options[0] = "lowerdir=other"

    result = rungs.run(host, bundle, rung)

    assert without_kernel_log(result) == Result(
        1,
        "",
        f"ocishim: mounts[1]: upperdir={bundle.directory}/upper belongs to other lower layers than "
        f"lowerdir={bundle.directory}/other: index=on cannot match them [ESTALE: upperdir was used with "
        "other lower layers and index=on]; mount with index=off, or use the lower layers that the upper one "
        "was made with, or begin a new upper layer; ocishim explain OVL-OPT-15\n",
    )
