"""The grammar of mount options: commas, escapes, and lists of lower layers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocishim import options


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", [""]),
        ("ro", ["ro"]),
        ("ro,lowerdir=/a:/b,userxattr", ["ro", "lowerdir=/a:/b", "userxattr"]),
        ("lowerdir=/a\\,b,ro", ["lowerdir=/a\\,b", "ro"]),
        ("lowerdir=/a\\\\,ro", ["lowerdir=/a\\\\", "ro"]),
        ("lowerdir=/a,ro\\", ["lowerdir=/a", "ro\\"]),
        (",ro,,", ["", "ro", "", ""]),
        ('ro,context="u:r:t:s0:c1,c2",nodev', ["ro", 'context="u:r:t:s0:c1,c2"', "nodev"]),
        ('defcontext="a,b', ['defcontext="a,b']),
        ('upperdir="a,b"', ['upperdir="a', 'b"']),
        ("context=u:r:t:s0,ro", ["context=u:r:t:s0", "ro"]),
    ],
)
def test_an_element_is_split_at_commas(text: str, words: list[str]) -> None:
    actual = options.split(text)

    assert words == actual


@pytest.mark.parametrize(
    ("text", "layers", "data"),
    [
        ("/a", ["/a"], []),
        ("/a:/b:/c", ["/a", "/b", "/c"], []),
        ("a\\:b:c\\,d\\\\", ["a:b", "c,d\\"], []),
        ("/a::/d", ["/a"], ["/d"]),
        ("/a:/b::/d::/e", ["/a", "/b"], ["/d", "/e"]),
        ("/a b:/ü", ["/a b", "/ü"], []),
        ("/a:/b\\", ["/a", "/b"], []),
    ],
)
def test_a_list_of_layers_is_read_top_first(text: str, layers: list[str], data: list[str]) -> None:
    actual = options.lower_list(text)

    assert (layers, data) == actual


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (":/a", "empty path in the list"),
        ("/a:::/b", "empty path in the list"),
        ("::/a", "empty path in the list"),
        ("\\", "empty path in the list"),
        ("/a:\\", "empty path in the list"),
        ("/a:", "the list ends with a colon"),
        ("/a::", "the list ends with a colon"),
        ("/a::/b:/c", "a lower layer cannot follow a data-only one: only :: may"),
    ],
)
def test_a_wrong_list_of_layers_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        options.lower_list(text)

    assert message == str(refusal.value)


_paths = st.text("ab/.:,\\\"' é\udcff", min_size=1) | st.text(min_size=1)


@given(_paths)
def test_any_path_survives_escape_and_unescape(path: str) -> None:
    assert path == options.unescape(options.escape(path))


@given(st.lists(_paths, min_size=1), st.lists(_paths))
def test_any_paths_survive_a_list_of_layers(lower: list[str], data: list[str]) -> None:
    text = ":".join(map(options.escape, lower)) + "".join(f"::{options.escape(path)}" for path in data)

    assert (lower, data) == options.lower_list(text)


@given(st.lists(_paths, min_size=1))
def test_any_paths_survive_one_element_of_options(paths: list[str]) -> None:
    words = [f"upperdir={options.escape(path)}" for path in paths]

    assert words == options.split(",".join(words))


def test_no_word_has_two_meanings() -> None:
    kinds = (options.KERNEL, options.PATHS, options.LSM, options.FLAGS, options.PROPAGATION, options.NEUTRAL)
    words = [word for kind in kinds for word in kind]

    assert sorted(set(words)) == sorted(words)
