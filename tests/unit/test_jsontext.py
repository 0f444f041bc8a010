"""JSON read as the json package reads it, and replaced in place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocishim import jsontext

WRONG = [
    ("", "the text ends too early, at line 1, column 1"),
    (" \n", "the text ends too early, at line 2, column 1"),
    ("{", "expecting property name enclosed in double quotes, at line 1, column 2"),
    ('{"a" 1}', "expecting ':' delimiter, at line 1, column 6"),
    ("[1 2]", "expecting ',' delimiter, at line 1, column 4"),
    ("[1,]", "no value, at line 1, column 4"),
    ('{"a":\n nul}', "no value, at line 2, column 2"),
    ('["a', "unterminated string starting at, at line 1, column 2"),
    ('["\n"]', "invalid control character at, at line 1, column 3"),
    ('["\\x"]', "invalid \\escape, at line 1, column 3"),
    ("{} {}", "something follows the end of the value, at line 1, column 4"),
    ("{}\0", "something follows the end of the value, at line 1, column 3"),
    ("\ufeff{}", "no value, at line 1, column 1"),
    ("// why\n{}", "no value, at line 1, column 1"),
    ("[NaN]", "NaN is not JSON"),
    ("-Infinity", "-Infinity is not JSON"),
    ('{"a": 1, "b": {"c": 1, "d": 2, "c": 3}}', 'key "c" stands twice in one object'),
    ('{"a": 1, "\\u0061": 1}', 'key "a" stands twice in one object'),
    (100_000 * "[", "nested too deep"),
    (100_000 * '{"a":', "nested too deep"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_not_json_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(jsontext.JSONError) as refusal:
        jsontext.loads(text)

    assert message == str(refusal.value)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("twice")
    return dict(pairs)


def _json(text: str) -> object:
    """Read a text by the json package, without what it takes beyond JSON."""
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
    except ValueError:
        return "refused"


def _ours(text: str) -> object:
    try:
        return jsontext.loads(text)
    except jsontext.JSONError:
        return "refused"


def _nested(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    )


_scalars = st.none() | st.booleans() | st.integers() | st.text()
_floats = st.floats(allow_nan=False, allow_infinity=False)
_texts = st.builds(
    lambda value, ascii, indent: json.dumps(value, ensure_ascii=ascii, indent=indent),
    _nested(_scalars | _floats),
    st.booleans(),
    st.sampled_from([None, 0, "\t"]),
)


@given(_texts | st.text('{}[]",:\\u0123456789-+.eEtruefalsn \n\t\x01', max_size=20))
def test_a_text_is_read_or_refused_as_json_does(text: str) -> None:
    expected, actual = _json(text), _ours(text)

    assert repr(expected) == repr(actual)


@given(_nested(_scalars))
def test_what_is_written_is_read_back(value: object) -> None:
    text = jsontext.dumps(value)

    assert value == json.loads(text)


def test_a_number_that_ocishim_never_writes_is_a_bug() -> None:
    with pytest.raises(TypeError, match=r"^no JSON for float$"):
        jsontext.dumps([1.5])


@pytest.mark.parametrize(
    ("text", "edits", "expected"),
    [
        ('{"a": 1.0, "b":[1,2 , {"c" : "x"}]}', {("b", 2, "c"): "y"}, '{"a": 1.0, "b":[1,2 , {"c" : "y"}]}'),
        ('{"a": 1e5, "b":[1, 2]}', {("b", 1): {"c": [True, None]}}, '{"a": 1e5, "b":[1, {"c":[true,null]}]}'),
        (' {"a":{}, "\\u0062":1}\n', {("b",): 2, ("a",): []}, ' {"a":[], "\\u0062":2}\n'),
        ('{ "a": 1}', {("b",): 2}, '{"b":2, "a": 1}'),
        ("{ }", {("b",): 2, ("c",): 3}, '{"b":2,"c":3 }'),
        ('[{"a": 1}]', {(0, "a"): 2, (0, "é"): "é"}, '[{"\\u00e9":"\\u00e9","a": 2}]'),
        ("{}", {}, "{}"),
    ],
)
def test_a_value_is_replaced_or_added_in_its_place(
    text: str, edits: dict[tuple[str | int, ...], object], expected: str
) -> None:
    actual = jsontext.replace(text, edits)

    assert expected == actual


@pytest.mark.parametrize(
    ("text", "path"),
    [("{}", ("a", "b")), ("[1]", (1,)), ("[1]", ("a",)), ('{"0": 1}', (0,)), ("1", ("a",)), ("[1]", (0, 0))],
)
def test_a_path_that_leads_nowhere_is_an_error(text: str, path: tuple[str | int, ...]) -> None:
    with pytest.raises(KeyError):
        jsontext.replace(text, {path: None})


_keys = st.text(max_size=3)
_documents = st.dictionaries(
    _keys,
    st.lists(st.dictionaries(_keys, _scalars | _floats, max_size=3), min_size=1, max_size=3),
    min_size=1,
    max_size=3,
)


@given(st.data(), _documents, st.booleans(), st.sampled_from([None, 1]))
def test_all_but_the_replaced_values_stay_byte_for_byte(
    data: st.DataObject, document: dict[str, Any], ascii: bool, indent: int | None
) -> None:
    text = json.dumps(document, ensure_ascii=ascii, indent=indent)
    key = data.draw(st.sampled_from(sorted(document)))
    index = data.draw(st.integers(0, len(document[key]) - 1))
    value = data.draw(st.text() | st.lists(st.booleans()))
    marked = {**document, key: [*document[key]]}
    marked[key][index] = "\0the value\0"
    before, after = json.dumps(marked, ensure_ascii=ascii, indent=indent).split('"\\u0000the value\\u0000"')

    actual = jsontext.replace(text, {(key, index): value})

    assert before + jsontext.dumps(value) + after == actual
    assert {**document, key: [*document[key][:index], value, *document[key][index + 1 :]]} == json.loads(
        actual
    )
