"""The model that verdicts compare overlays with."""

import importlib.util
import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))  # hack/ is not installed

from hack.matrix import content, trees
from hack.matrix.both import Both, WrongError
from hack.matrix.trees import Tree


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([], {}),
        ([{"a": b"1"}], {"a": b"1"}),
        ([{"a": b"upper"}, {"a": b"lower", "b": b"2"}], {"a": b"upper", "b": b"2"}),
        ([{"d": None, "d/a": b"1"}, {"d": None, "d/b": b"2"}], {"d": None, "d/a": b"1", "d/b": b"2"}),
        ([{"d": b"a file"}, {"d": None, "d/b": b"2"}], {"d": b"a file"}),
        ([{"d": "a link"}, {"d": None, "d/b": b"2"}], {"d": "a link"}),
        ([{"d": None}, {"d": b"a file"}], {"d": None}),
        # A file between two directories ends the search: nothing of the lowest is seen.
        ([{"d": None}, {"d": b"a file"}, {"d": None, "d/b": b"2"}], {"d": None}),
        ([{"d": None}, {"d": "x"}, {"d": None, "d/e": None, "d/e/f": b""}], {"d": None}),
    ],
)
def test_a_union_shows_the_topmost_and_merges_directories(layers: list[Tree], expected: Tree) -> None:
    assert expected == trees.merge(layers)


def test_a_tree_is_read_back_as_it_was_written(tmp_path: pathlib.Path) -> None:
    tree = {**content.LOWER, **content.LINK}

    trees.write(tree, tmp_path)

    assert tree == trees.read(str(tmp_path))


@pytest.mark.parametrize(
    ("expected", "found", "said"),
    [
        ({"a": b"1"}, {"a": b"1"}, ""),
        ({"a": b"1"}, {}, "a is missing"),
        ({}, {"a": b"1"}, "a is there"),
        ({"a": b"1"}, {"a": b"2"}, "a is b'2', not b'1'"),
        ({"a": None}, {"a": "x"}, "a is a link to x, not a directory"),
        ({"a": b"x" * 30}, {"a": bytes(30)}, "a is 30 zeros, not 30 bytes"),
        (
            {"a": b"", "b": b"", "c": b"", "d": b"", "e": b""},
            {},
            "a is missing, b is missing, c is missing, d is missing, and 1 more",
        ),
    ],
)
def test_a_difference_is_said_in_few_words(expected: Tree, found: Tree, said: str) -> None:
    assert said == trees.difference(expected, found)


def test_a_rename_takes_along_what_is_below_and_replaces() -> None:
    tree: Tree = {"d": None, "d/a": b"1", "dd": b"other", "e": None}

    trees.rename(tree, "d", "e")

    assert tree == {"dd": b"other", "e": None, "e/a": b"1"}


def test_operations_change_directory_and_model_alike(tmp_path: pathlib.Path) -> None:
    trees.write(content.LOWER, tmp_path)
    both = Both(str(tmp_path), content.LOWER)

    both.append("file", b"more")
    both.truncate("short", 3)
    both.unlink("doomed")
    both.remove("tree")
    both.make("tree")
    both.write("tree/new", b"new")
    both.rename("mover", "moved")
    both.link("file", "file-2")
    both.symlink("file", "symbolic")

    both.check()
    assert "moved/x" in both.model


@pytest.mark.parametrize("damage", ["unlink", "add", "change"])
def test_what_the_model_does_not_know_is_wrong(tmp_path: pathlib.Path, damage: str) -> None:
    trees.write({"a": b"1", "b": b"2"}, tmp_path)
    both = Both(str(tmp_path), {"a": b"1", "b": b"2"})
    if damage == "unlink":
        (tmp_path / "a").unlink()
    elif damage == "add":
        (tmp_path / "c").touch()
    else:
        (tmp_path / "a").write_bytes(b"3")

    with pytest.raises(WrongError):
        both.check()


def test_a_deleted_name_that_is_still_listed_is_wrong(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").touch()
    both = Both(str(tmp_path), {})

    with pytest.raises(WrongError, match="a is there"):
        both.check_names()


def test_the_matrix_does_not_import_what_it_judges() -> None:
    """An error shared by both would be seen by neither."""
    spec = importlib.util.find_spec("hack.matrix")
    assert spec
    assert spec.submodule_search_locations
    sources = {
        path.name: path.read_text() for path in pathlib.Path(spec.submodule_search_locations[0]).glob("*.py")
    }

    assert [
        name for name, text in sources.items() if "import ocishim" in text or "from ocishim" in text
    ] == []
