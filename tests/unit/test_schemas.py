"""The schemas and the code: the same options, keys and values, and the same judgement."""

import itertools
import json
import tomllib
from typing import Any

import hypothesis
import jsonschema
import pytest
from harness import ROOT
from hypothesis import strategies as st
from unit import test_overlay, test_settings

from ocishim import options, overlay, settings
from ocishim.errors import ShimError

OVERLAY = json.loads((ROOT / "schemas/overlay-mount.schema.json").read_text())
SETTINGS = json.loads((ROOT / "schemas/settings.schema.json").read_text())
RUNTIME = SETTINGS["$defs"]["runtime"]
WORDS = [word for option in OVERLAY["$defs"]["overlayOption"]["anyOf"] for word in option["enum"]]


def is_valid(schema: dict[str, Any], value: object) -> bool:
    """Judge by a schema."""
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def is_taken(entry: object) -> bool:
    """Judge an overlay entry by the code."""
    try:
        overlay.find({"mounts": [entry]})
    except ShimError:
        return False
    return True


def are_settings(text: str) -> bool:
    """Judge settings by the code."""
    try:
        settings.parse(text, "/c")
    except ShimError:
        return False
    return True


@pytest.mark.parametrize("schema", [OVERLAY, SETTINGS], ids=lambda schema: str(schema["title"]))
def test_a_schema_is_one_and_takes_its_examples(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)

    found: list[tuple[object, object]] = []

    def look(part: object) -> None:
        if isinstance(part, dict):
            inner = {"$defs": schema["$defs"], **part}
            shown = [*part.get("examples", []), *([part["default"]] if "default" in part else [])]
            found.extend((example, is_valid(inner, example)) for example in shown)
            for key, value in part.items():
                if key not in ("examples", "default"):
                    look(value)
        elif isinstance(part, list):
            for item in part:
                look(item)

    look(schema)
    assert [(example, True) for example, _ in found] == found
    assert len(found) >= 8


def test_the_name_of_a_schema_is_its_address() -> None:
    names = {path.name: json.loads(path.read_text())["$id"] for path in (ROOT / "schemas").glob("*.json")}

    assert {name: f"https://ocishim.dev/schemas/{name}" for name in names} == names


def test_the_schema_has_the_options_of_the_code() -> None:
    kernel = {
        word
        for name, values in options.KERNEL.items()
        for word in ([name] if values is None else [f"{name}={value}" for value in values])
    }
    defs = OVERLAY["$defs"]
    expected = [kernel, {*options.FLAGS}, {*options.PROPAGATION}, {*options.IDMAP}, {*options.NEUTRAL, ""}]

    assert expected == [
        set(WORDS),
        set(defs["mountFlag"]["enum"]),
        set(defs["propagation"]["enum"]),
        set(defs["idmap"]["enum"]),
        set(defs["neutral"]["enum"]),
    ]
    assert [*options.KERNEL] == [option["title"] for option in defs["overlayOption"]["anyOf"]]
    assert {*options.PATHS} == {*defs} & {name for name in defs if "dir" in name and name.islower()}
    assert "^(?:" + "|".join(options.LSM) + ")=" == defs["securityLabel"]["pattern"].partition("=")[0] + "="


def test_the_schema_has_the_conflicts_of_the_code() -> None:
    found = [
        tuple(part["contains"]["const"] for part in conflict["allOf"])
        for conflict in OVERLAY["$defs"]["conflicts"]["not"]["anyOf"]
    ]

    assert [*overlay._CONFLICTS] == found


@pytest.mark.parametrize(
    "words", [words for words, _ in test_overlay.GOOD], ids=lambda words: ",".join(words)
)
def test_options_that_the_code_takes_are_valid(words: list[str]) -> None:
    entry = test_overlay.entry(*words)

    assert (is_taken(entry), is_valid(OVERLAY, entry)) == (True, True)


#: What only the code finds: what stands between options, and what a schema has no words for.
BEYOND = (
    "half a surrogate", "lower layers: the kernel", "behind a data-only", "contradicts xino",
    "with another value", "without mappings",
)  # fmt: skip
EXPRESSED = [words for words, message in test_overlay.OPTIONS if not any(text in message for text in BEYOND)]


@pytest.mark.parametrize("words", EXPRESSED, ids=str)
def test_options_that_the_code_refuses_are_invalid(words: list[object]) -> None:
    entry = test_overlay.entry(*words)

    assert (is_taken(entry), is_valid(OVERLAY, entry)) == (False, False)


@pytest.mark.parametrize(
    "entry",
    [
        spec["mounts"][-1]
        for spec, _ in test_overlay.SPEC
        if isinstance(spec["mounts"], list) and spec["mounts"]
    ],
    ids=str,
)
def test_an_entry_that_the_code_refuses_is_invalid(entry: object) -> None:
    assert (is_taken(entry), is_valid(OVERLAY, entry)) == (False, False)


def contradictions(name: str) -> set[frozenset[str]]:
    """Give the pairs of words that a rule of the schema excludes."""
    found = set()
    for conflict in OVERLAY["$defs"][name]["not"]["anyOf"]:
        one, other = (
            part["contains"].get("enum") or [part["contains"]["const"]] for part in conflict["allOf"]
        )
        found |= {frozenset(pair) for pair in itertools.product(one, other)}
    return found


@pytest.mark.parametrize(
    ("rule", "layers", "words"),
    [
        ("flagConflicts", ["lowerdir=/a"], [*options.FLAGS]),
        ("conflicts", test_overlay.RW, WORDS),
    ],
)
def test_words_contradict_each_other_to_both_alike(rule: str, layers: list[str], words: list[str]) -> None:
    refused = {
        frozenset(pair)
        for pair in itertools.combinations(words, 2)
        if "=" not in pair[0] or pair[0].partition("=")[0] != pair[1].partition("=")[0]
        if not is_taken(test_overlay.entry(*layers, *pair))
    }

    assert refused == contradictions(rule)


@pytest.mark.parametrize("word", WORDS)
def test_what_means_nothing_without_upperdir_does_so_to_both(word: str) -> None:
    entry = test_overlay.entry("lowerdir=/a", word)

    assert is_taken(entry) == is_valid(OVERLAY, entry)


def test_the_schema_has_the_keys_and_values_of_the_settings() -> None:
    found = settings.Settings()

    assert set(settings.Settings.__slots__) == set(SETTINGS["properties"])
    assert set(settings.Runtime.__slots__) == set(RUNTIME["properties"])
    assert [*settings.MODES] == SETTINGS["properties"]["overlay"]["enum"]
    assert [*settings.KINDS] == RUNTIME["properties"]["kind"]["enum"]
    assert found.trial_cache is None  # the default depends on the user: the schema tells it in words
    assert [found.overlay, found.fuse_overlayfs] == [
        SETTINGS["properties"][name]["default"] for name in ("overlay", "fuse_overlayfs")
    ]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def toml(document: dict[str, object]) -> str:
    """Write settings."""
    return "\n".join(f"{json.dumps(key)} = {_toml(value)}" for key, value in document.items())


def from_schema(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Make values out of a schema's own words, right ones for the most part."""
    if "$ref" in schema:
        return from_schema(RUNTIME)
    if "enum" in schema:
        right: st.SearchStrategy[Any] = st.sampled_from(schema["enum"])
    elif schema["type"] == "boolean":
        right = st.booleans()
    elif schema["type"] == "array":
        right = st.lists(from_schema(schema["items"]), max_size=3)
    elif schema["type"] == "string":
        right = st.sampled_from(
            ["/a", "/a b", "/é", "a", "", "a\0b", "/\0", "--x=y", *schema.get("examples", ())]
        )
    else:
        known = {key: from_schema(inner) for key, inner in schema.get("properties", {}).items()}
        others = schema["additionalProperties"] or {"enum": ["x"]}
        more = st.dictionaries(st.sampled_from(["runc", "a b", "é"]), from_schema(others), max_size=2)
        if schema["additionalProperties"] is False:
            more = st.just({}) | st.just({}) | st.just({}) | more
        return st.builds(lambda one, two: one | two, st.fixed_dictionaries({}, optional=known), more)
    wrong = st.sampled_from([0, 7, True, "", "x", [], ["x"], [7], {}, {"x": 1}])
    return st.one_of([right] * 9 + [wrong])


@hypothesis.given(from_schema(SETTINGS))
def test_settings_are_judged_alike(document: dict[str, object]) -> None:
    hypothesis.event(f"valid: {is_valid(SETTINGS, document)}")

    assert is_valid(SETTINGS, document) == are_settings(toml(document))


@hypothesis.settings(max_examples=40)
@hypothesis.given(from_schema(SETTINGS).filter(lambda document: is_valid(SETTINGS, document)))
def test_valid_settings_are_read_as_they_are_written(document: dict[str, Any]) -> None:
    defaults = {"path": "", "args": [], "kind": "", "exclusive": False}

    found = settings.parse(toml(document), "/c")

    expected = {name: defaults | runtime for name, runtime in document.get("runtimes", {}).items()}
    actual = {
        name: {
            key: list(value) if key == "args" else value
            for key in defaults
            for value in [getattr(runtime, key)]
        }
        for name, runtime in found.runtimes.items()
    }
    assert document.get("overlay", "auto") == found.overlay
    assert document.get("fuse_overlayfs", "fuse-overlayfs") == found.fuse_overlayfs
    assert document.get("trial_cache") == found.trial_cache
    assert (expected or dict.fromkeys(settings.KINDS, defaults)) == actual


@pytest.mark.parametrize("text", [text for text, _ in test_settings.GOOD], ids=repr)
def test_settings_that_the_code_takes_are_valid(text: str) -> None:
    assert (are_settings(text), is_valid(SETTINGS, tomllib.loads(text))) == (True, True)


@pytest.mark.parametrize(
    "text", [text for text, message in test_settings.REFUSED if "not TOML" not in message], ids=repr
)
def test_settings_that_the_code_refuses_are_invalid(text: str) -> None:
    assert (are_settings(text), is_valid(SETTINGS, tomllib.loads(text))) == (False, False)
