"""`ocishim diff` of upper layers that overlays have written, and of what it cannot read."""

import json
import os
import pathlib
import subprocess
from typing import Any

import jsonschema
import pytest
from harness import ROOT, Result
from kernel.person import Person, person

__all__ = ["person"]
SCHEMA = json.loads((ROOT / "schemas/diff.schema.json").read_text())
WORK = r"""
cd lower; echo x >>changed; rm gone; rm -r dir; mkdir dir; echo n >dir/same; echo n >dir/new; chmod 700 kept
echo n >kept/new; rm kept/gone; mkdir new new/new; touch "$(printf 'new/a\nb\377')"; ln -s x kept/link
mkfifo kept/fifo
"""
LOWER = {"changed": "", "gone": "", "dir__same": "", "dir__other": "", "dir__sub__x": "", "kept__gone": "",
         "kept__same": "", "untouched__x": ""}  # fmt: skip
BESIDE = [
    "C  changed", "C  dir/  (replaced)", "A  dir/new", "C  dir/same", "C  kept/", "A  kept/fifo",
    "A  kept/link", "A  kept/new", "A  new/", r"A  new/a\nb\udcff", "A  new/new/", "D  dir/other",
    "D  dir/sub/", "D  gone", "D  kept/gone",
]  # fmt: skip
OPAQUE = "  (opaque: everything below it in lower layers is hidden)"


def document(person: Person, *words: str) -> Any:
    """Give what is told to programs."""
    result = person.ocishim("diff", "--format", "json", *words)
    assert (result.status, result.err) == (0, "")
    found = json.loads(result.out)
    jsonschema.validate(found, SCHEMA, cls=jsonschema.Draft202012Validator)
    return found


@pytest.mark.parametrize("mode", ["kernel", "fuse"])
def test_what_an_overlay_has_written(person: Person, mode: str) -> None:
    person.lay("lower", **LOWER)
    view = ("view", "--overlay", mode, "--lower", "lower", "--upper", "upper", "--", "bash", "-ec", WORK)
    assert person.ocishim(*view) == Result(0, "", "")

    result = person.ocishim("diff", "upper", "--lower", "lower")

    assert (result.status, result.out.splitlines(), result.err) == (0, BESIDE, "")
    found = document(person, "upper", "--lower", "lower")
    name = os.fsdecode(b"new/a\nb\xff")
    assert {"change": "added", "path": name, "type": "file"} in found["changes"]
    assert len(found["changes"]) == len(BESIDE)


def test_without_lower_layers_the_marks_tell(person: Person) -> None:
    person.lay("lower", **LOWER)
    view = ("view", "--overlay", "kernel", "--lower", "lower", "--upper", "upper", "--", "bash", "-ec", WORK)
    assert person.ocishim(*view) == Result(0, "", "")

    result = person.ocishim("diff", "upper")

    assert (result.status, result.err) == (0, "")
    assert [line.removesuffix(OPAQUE) for line in result.out.splitlines()] == [
        "C  changed", "A  dir/", "A  dir/new", "A  dir/same", "A  kept/fifo", "A  kept/link", "A  kept/new",
        "A  new/", r"A  new/a\nb\udcff", "A  new/new/", "D  gone", "D  kept/gone",
    ]  # fmt: skip
    assert f"A  dir/{OPAQUE}\n" in result.out


def _mounted(directory: pathlib.Path, options: str, script: str) -> None:
    """Work in an overlay that no ocishim has made."""
    mount = f"mount -t overlay -o {options},upperdir=upper,workdir=work overlay merged"
    inner = f"set -e; cd {directory}; mkdir upper work merged; {mount}; cd merged; {script}"
    subprocess.run(["unshare", "--mount", "--propagation", "slave", "sh", "-c", inner], check=True)


@pytest.fixture
def root(person: Person) -> Person:
    """Be root, whom alone redirects are for."""
    if person.who != "root":
        person = Person("root", person.directory)
    return person


def test_renames_are_followed(root: Person) -> None:
    root.lay("top", a__b__f="1", a__mid="")
    root.lay("bottom", a__b__g="2", a__t="", z__big="3")
    script = """
    mv a moved; mkdir sub; mv moved/b sub/bb; rm sub/bb/g; echo n >sub/bb/n; chmod 600 z/big
    mv z/big z/bigger; mv z zz
    """
    _mounted(root.directory, "lowerdir=top:bottom,redirect_dir=on,metacopy=on", script)

    result = root.ocishim("diff", "upper", "--lower", "top:bottom")

    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines() == [
        "R  a -> moved/",
        "A  sub/",
        "R  a/b -> sub/bb/",
        "A  sub/bb/n",
        "R  z -> zz/",
        "R  z/big -> zz/bigger  (metadata only: its content is a lower layer's)",
        "D  sub/bb/g",
    ]


def test_lower_layers_hide_from_each_other(root: Person) -> None:
    """A whiteout and an opaque directory in the middle: what is below them was not there to be changed."""
    root.lay("bottom", gone="", dir__old="", other="")
    _mounted(root.directory, "lowerdir=bottom", "rm gone; rm -r dir; mkdir dir; echo n >dir/new")
    (root.directory / "upper").rename(root.directory / "middle")
    upper = root.lay("upper", gone="", dir__old="", dir__new="", other="")
    (upper / ".wh.nothing").touch()

    result = root.ocishim("diff", "upper", "--lower", "middle:bottom")

    assert result == Result(0, "C  dir/new\nA  dir/old\nA  gone\nC  other\n", "")


def test_xattr_whiteouts_are_some_where_the_directory_says_so(root: Person) -> None:
    root.lay("lower", dir__a="", dir__b="")
    upper = root.lay("upper", dir__a="", dir__b="", plain__c="")
    for name in ("dir/a", "plain/c"):
        os.setxattr(upper / name, "trusted.overlay.whiteout", b"y")
    os.setxattr(upper / "dir", "trusted.overlay.opaque", b"x")

    result = root.ocishim("diff", "upper", "--lower", "lower")

    assert result == Result(0, "C  dir/b\nA  plain/\nA  plain/c\nD  dir/a\n", "")


def test_what_a_user_cannot_read_is_named(person: Person) -> None:
    if person.who == "root":
        person = Person("user", person.directory)
    upper = person.lay("upper", closed__x="", own__y="", z="")
    os.chown(upper / "closed", 0, 0)
    (upper / "closed").chmod(0o700)
    (upper / "own").chmod(0)

    result = person.ocishim("diff", "upper")

    assert result == Result(
        1, "A  closed/\n?  closed/  (EACCES, access refused)\nA  own/\nA  own/y\nA  z\n", ""
    )


def test_marks_that_only_root_sees_are_not_passed_over(person: Person) -> None:
    person = Person("user", person.directory)
    person.lay("lower", gone="", dir__old="")
    _mounted(person.directory, "lowerdir=lower", "rm gone; rm -r dir; mkdir dir")
    person.own(person.directory / "upper")

    result = person.ocishim("diff", "upper")

    why = "written by an overlay of root, whose marks only root can read: which directories are opaque or "
    why += "renamed"
    assert result == Result(1, f"A  dir/\nD  gone\n?  ./  ({why})\n", "")


def test_a_reader_that_has_enough_ends_it_without_a_word(person: Person) -> None:
    person.lay("upper", **{f"{'x' * 200}{number}": "" for number in range(2000)})

    with person.start(
        "sh", "-c", f"{ROOT}/.venv/bin/ocishim diff upper | head -n 1", stdout=subprocess.PIPE, stderr=-1
    ) as process:
        out, err = process.communicate(timeout=60)

    assert (out, err) == (f"A  {'x' * 200}0\n", "")
