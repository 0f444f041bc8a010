"""JSON whose text is kept: values are read with the place where each stands, and replaced in place.

The runtime gets a spec's text as it came except for the values that ocishim replaces, so numbers, key order
and fields that nobody here knows survive as they were. The scanner is the C one behind the json package;
importing json itself costs 6-9 ms, most of it for `re`.
"""

from _json import encode_basestring_ascii, make_scanner, scanstring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SPACE = " \t\n\r"


class JSONError(ValueError):
    """The text is not JSON, or not the JSON that a spec may be. `str()` says what and where."""


class _Context:
    """What the C scanner asks of json.JSONDecoder."""

    strict = True
    object_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}  # noqa: RUF012 - the scanner shares equal keys through it

    @staticmethod
    def parse_constant(name: str) -> None:
        raise JSONError(f"{name} is not JSON")

    @staticmethod
    def object_pairs_hook(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            seen = set()
            for key, _ in pairs:
                if key in seen:
                    raise JSONError(f'key "{key}" stands twice in one object')
                seen.add(key)
        return members


_scan = make_scanner(_Context())  # type: ignore[arg-type]  # typeshed asks for json's own decoder


def loads(text: str) -> object:
    """Read one JSON value.

    Raises JSONError: no JSON, two equal keys in one object, or nested too deep.
    """
    start = _skip(text, 0)
    value, end = _value(text, start)
    end = _skip(text, end)
    if end != len(text):
        raise JSONError(f"something follows the end of the value, at {place(text, end)}")
    return value


def replace(text: str, edits: "Mapping[tuple[str | int, ...], object]") -> str:
    """Give the text with the value at each path replaced; the rest stays byte for byte.

    A path names object keys and array indexes, e.g. ("mounts", 3); none may lead into another. Where an
    object lacks the path's last key, the member is added. A value is whatever `dumps` writes. The text must
    be what `loads` accepts. Raises KeyError if a path leads nowhere.
    """
    spans: list[tuple[int, int, str]] = []
    _locate(text, _skip(text, 0), [(path, value) for path, value in edits.items()], spans)
    spans.sort()
    parts: list[str] = []
    at = 0
    for start, end, new in spans:
        parts += (text[at:start], new)
        at = end
    parts.append(text[at:])
    return "".join(parts)


def dumps(value: object) -> str:
    """Write a value of dicts, lists, strings, booleans, integers and None, in ASCII, without spaces."""
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if isinstance(value, dict):
        members = (f"{encode_basestring_ascii(key)}:{dumps(item)}" for key, item in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(dumps, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def place(text: str, at: int) -> str:
    """Say where an index is: `line 3, column 7`."""
    line = text.count("\n", 0, at) + 1
    return f"line {line}, column {at - (text.rfind(chr(10), 0, at) + 1) + 1}"


def _value(text: str, at: int) -> tuple[object, int]:
    try:
        value: tuple[object, int] = _scan(text, at)
    except StopIteration as stop:
        at = stop.value if isinstance(stop.value, int) else at
        what = "the text ends too early" if at >= len(text) else "no value"
        raise JSONError(f"{what}, at {place(text, at)}") from None
    except RecursionError:
        raise JSONError("nested too deep") from None
    except SystemError:  # until Python 3.12 the scanner finds its error type only if this is loaded
        import json.decoder

        assert json.decoder
        return _value(text, at)
    except JSONError:
        raise
    except ValueError as e:  # json.JSONDecodeError
        at = getattr(e, "pos", at)
        reason = str(getattr(e, "msg", "a number of more than 4300 digits"))
        raise JSONError(f"{reason[:1].lower()}{reason[1:]}, at {place(text, at)}") from None
    return value


def _locate(
    text: str,
    at: int,
    edits: list[tuple[tuple[str | int, ...], object]],
    spans: list[tuple[int, int, str]],
) -> None:
    """Find where the edits' paths, relative to the value at this index, stand."""
    children = _children(text, at)
    inner: dict[str | int, list[tuple[tuple[str | int, ...], object]]] = {}
    added = []
    for path, value in edits:
        if len(path) > 1:
            inner.setdefault(path[0], []).append((path[1:], value))
        elif path[0] in children:
            spans.append((*children[path[0]], dumps(value)))
        elif text[at] == "{" and isinstance(path[0], str):
            added.append(dumps({path[0]: value})[1:-1])
        else:
            raise KeyError(path[0])
    if added:
        spans.append((at + 1, at + 1, ",".join(added) + ("," if children else "")))
    for key, below in inner.items():
        _locate(text, children[key][0], below, spans)


def _children(text: str, at: int) -> dict[str | int, tuple[int, int]]:
    """Find start and end of each value in the object or array at this index."""
    found: dict[str | int, tuple[int, int]] = {}
    is_object = text[at] == "{"
    if not is_object and text[at] != "[":
        return found
    at = _skip(text, at + 1)
    while text[at] not in "}]":
        key: str | int = len(found)
        if is_object:
            key, at = scanstring(text, at + 1, True)
            at = _skip(text, _skip(text, at) + 1)
        _, end = _value(text, at)
        found[key] = (at, end)
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    end = len(text)
    while at < end and text[at] in _SPACE:
        at += 1
    return at
