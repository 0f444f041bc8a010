"""The plain part of TOML, read by ocishim itself, against tomllib."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocishim import tomltext

PLAIN = [
    ("", {}),
    ("\n\n# a comment, ünïcode\n", {}),
    ('a = "b"', {"a": "b"}),
    ("a = true\r\nb=false\r\n", {"a": True, "b": False}),
    ("a = 0\nb = 12", {"a": 0, "b": 12}),
    ("  a\t=\t1  ", {"a": 1}),
    ('a = []\nb = ["x", "y z"]\nc = ["x",]', {"a": [], "b": ["x", "y z"], "c": ["x"]}),
    ("[a]\nb = 1\n[c.d]\ne = 2", {"a": {"b": 1}, "c": {"d": {"e": 2}}}),
    ("[runtimes.runsc]\nexclusive = true", {"runtimes": {"runsc": {"exclusive": True}}}),
    ("[a.b]\n[a.c]\nd = 1", {"a": {"b": {}, "c": {"d": 1}}}),
]

OTHER = [
    ("a = 'b'", {"a": "b"}),
    ('a = "b\\n"', {"a": "b\n"}),
    ('a = "b,c"', {"a": "b,c"}),
    ("a = 1 # why", {"a": 1}),
    ("a = 1.5", {"a": 1.5}),
    ("a = -1", {"a": -1}),
    ("a = [\n1,\n]", {"a": [1]}),
    ("a.b = 1", {"a": {"b": 1}}),
    ('"a b" = 1', {"a b": 1}),
    ("[a.b]\n[a]\nc = 1", {"a": {"b": {}, "c": 1}}),
    ("[[a]]\nb = 1", {"a": [{"b": 1}]}),
    ("a = {b = 1}", {"a": {"b": 1}}),
    ("a = [[]]", {"a": [[]]}),
    ('a = """b"""', {"a": "b"}),
]

WRONG = [
    ("a", "Expected '=' after a key in a key/value pair (at end of document)"),
    ("a = ", "Invalid value (at end of document)"),
    ("a = yes", "Invalid value (at line 1, column 5)"),
    ("a = 1\na = 2", "Cannot overwrite a value (at end of document)"),
    ("[a]\n[a]", "Cannot declare ('a',) twice (at line 2, column 3)"),
    ("a = 1\n[a]", "Cannot overwrite a value (at line 2, column 3)"),
    ("[a", "Expected ']' at the end of a table declaration (at end of document)"),
    ("a = 00", "Expected newline or end of document after a statement (at line 1, column 6)"),
    ("a = 1\r", "Expected newline or end of document after a statement (at line 1, column 6)"),
    ("# \x07", "Found invalid character '\\x07' (at line 1, column 3)"),
    ("a = " + 5000 * "[", "nested too deep"),
]


@pytest.mark.parametrize(("text", "expected"), PLAIN)
def test_the_plain_part_is_read_without_tomllib(text: str, expected: object) -> None:
    actual = tomltext._plain(text)

    assert expected == actual


@pytest.mark.parametrize(("text", "expected"), OTHER)
def test_the_rest_is_left_to_tomllib(text: str, expected: object) -> None:
    with pytest.raises(tomltext._NotPlainError):
        tomltext._plain(text)
    actual = tomltext.loads(text)

    assert expected == actual


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_not_toml_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        tomltext.loads(text)

    assert message == str(refusal.value)


_keys = st.sampled_from(["a", "b", "a-b", "_1", "ü", '"a"', ""])
_values = st.sampled_from(
    [
        "true", "false", "0", "7", "07", "1e3", "[]", "[ ]", "[,]", "[true]", "]", "{}", "x", "",
        '""', '"x"', '"x,y"', '"x" "y"', "'x'", '"\\t"', '"#"', '"x" # y',
        '["x"]', '["x",]', '["x","y"]', '[["x"]]', '["x" "y"]',
    ]
)  # fmt: skip
_lines = st.one_of(
    st.builds(
        "{}{}={}{}".format, _keys, st.sampled_from(["", " ", "\t"]), _values, st.sampled_from(["", " "])
    ),
    st.builds("[{}]".format, st.lists(_keys, max_size=3).map(".".join)),
    st.sampled_from(["", "#", "# x", "#\x01", "[[a]]", "[", "[]", " ", "\u00a0", "\ufeff"]),
)
_documents = st.lists(_lines, max_size=6).flatmap(
    lambda lines: st.sampled_from(["\n", "\r\n", "\r"]).map(lambda end: end.join([*lines, ""]))
)


@given(_documents | st.text('ab=[]",.#\n\r\t 01\\', max_size=12))
def test_ocishim_reads_a_text_as_tomllib_does(text: str) -> None:
    try:
        expected: object = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        expected = str(e)
    try:
        actual: object = tomltext.loads(text)
    except ValueError as e:
        actual = str(e)

    assert expected == actual
