"""The plain part of TOML, read without the 15 ms of importing tomllib; the rest is left to tomllib.

Every `kill` and `state` of an engine reads the settings, and what people write there is tables, plain
strings, booleans, integers and one-line arrays. A text with anything else is read by tomllib, whole.
"""

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class _NotPlainError(Exception):
    """The text needs the whole of TOML."""


def loads(text: str) -> dict[str, object]:
    """Read a TOML document.

    Raises ValueError, mostly tomllib.TOMLDecodeError with line and column, if it is not TOML.
    """
    try:
        return _plain(text)
    except _NotPlainError:
        from tomllib import loads

        try:
            return loads(text)
        except RecursionError:
            raise ValueError("nested too deep") from None


def _plain(text: str) -> dict[str, object]:
    document: dict[str, object] = {}
    table = document
    for line in text.replace("\r\n", "\n").split("\n"):
        line = line.strip(" \t")
        if not line or (line[0] == "#" and line.isprintable()):
            continue
        if line[0] == "[":
            table = _table(document, line)
        else:
            key, equals, value = line.partition("=")
            key = key.rstrip(" \t")
            if not equals or not _is_bare(key) or key in table:
                raise _NotPlainError
            table[key] = _value(value.strip(" \t"))
    return document


def _table(document: dict[str, object], line: str) -> dict[str, object]:
    if line[-1] != "]" or line[1] == "[":
        raise _NotPlainError
    *parents, name = line[1:-1].split(".")
    table = document
    for part in parents:
        inner = table.setdefault(part, {})
        if not _is_bare(part) or not isinstance(inner, dict):
            raise _NotPlainError
        table = inner
    if not _is_bare(name) or name in table:  # declared twice, or opened by a longer name before
        raise _NotPlainError
    new: dict[str, object] = {}
    table[name] = new
    return new


def _value(text: str) -> object:
    if text == "true":
        return True
    if text == "false":
        return False
    if text.isascii() and text.isdigit() and (text == "0" or text[0] != "0"):
        return int(text)
    if text[:1] == "[" and text[-1:] == "]":
        inner = text[1:-1].strip(" \t")
        if not inner:
            return []
        items = [item.strip(" \t") for item in inner.split(",")]
        if items[-1] == "":
            items.pop()
        return [_string(item) for item in items]
    return _string(text)


def _string(text: str) -> str:
    inner = text[1:-1]
    if (
        len(text) < 2
        or text[0] != '"'
        or text[-1] != '"'
        or '"' in inner
        or "\\" in inner
        or "," in inner  # it may have been cut out of an array
        or not inner.isprintable()
    ):
        raise _NotPlainError
    return inner


def _is_bare(key: str) -> bool:
    return key != "" and _BARE.issuperset(key)
