"""Paths into a JSON body: JMESPath, in order of preference.

Three functions are added to the language: ``from_json(text)`` reads JSON kept
inside a string, ``split(text, separator)`` cuts one, and ``deep(value, key)``
collects every value of a key at any depth.
"""

import difflib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any

import jmespath
from jmespath import exceptions, functions
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DEEPEST = 64
"""How far values may be nested; no status answer comes near, and recursion stays harmless."""
_MOST = 64


class _Functions(functions.Functions):
    @functions.signature({"types": ["string", "null"]})
    def _func_from_json(self, text: str | None) -> Any:
        return parse_json(text) if text else None

    @functions.signature({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_split(self, text: str | None, separator: str) -> list[str] | None:
        return text.split(separator) if text and separator else None

    @functions.signature({"types": []}, {"types": ["string"]})
    def _func_deep(self, value: Any, key: str) -> list[Any]:
        return [found for found, _ in zip(_deep(value, key, _DEEPEST), range(_MOST), strict=False)]


_OPTIONS = jmespath.Options(custom_functions=_Functions())


class Paths:
    """Candidates, of which the first that finds something wins; null is nothing."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self.texts = texts
        self._compiled = [jmespath.compile(text) for text in texts]
        self._keys = [_keys(expression.parsed) for expression in self._compiled]

    def find(self, body: Any) -> Any:
        """Return what the first candidate that fits finds, or None; never raises."""
        return next(self.each(body), None)

    def each(self, body: Any) -> Iterator[Any]:
        """Yield what each candidate finds, in order; never raises."""
        for expression, keys in zip(self._compiled, self._keys, strict=True):
            try:
                found = expression.search(body, options=_OPTIONS) if keys is None else _at(body, keys)
            except (exceptions.JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError):
                continue
            if found is not None:
                yield found


def _keys(tree: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the keys that an expression follows, None where it does more: most paths are nothing else.

    Asking dictionaries takes a tenth of the library's time, and the paths are followed at each poll.
    """
    if tree["type"] == "field":
        return (tree["value"],)
    if tree["type"] != "subexpression":
        return None
    parts = [_keys(child) for child in tree["children"]]
    return None if None in parts else tuple(key for part in parts if part for key in part)


def _at(value: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def parse_json(text: str) -> Any:
    """Return the value of a JSON text, or None where it is none or nested too deeply.

    Stricter than the standard library: NaN and infinities are no JSON
    (RFC 8259, section 6).
    """
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    brackets = text.count("[") + text.count("{")
    return value if brackets <= _DEEPEST or _is_shallow(value) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _is_shallow(value: Any) -> bool:
    """Tell whether `value` is nested at most _DEEPEST levels, looking level by level."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _children(outer) if isinstance(inner, dict | list)]
        if not level:
            return True
    return False


def _children(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _deep(value: Any, key: str, levels: int) -> Iterator[Any]:
    if levels == 0:
        return
    if isinstance(value, dict) and key in value:
        yield value[key]
        value = [item for name, item in value.items() if name != key]
    for item in _children(value):
        yield from _deep(item, key, levels - 1)


def _compiled(value: object) -> Paths:
    if isinstance(value, Paths):
        return value
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("must be a JMESPath, or a list of them in order of preference")
    try:
        for text in texts:
            _check_functions(text, _parsed(text))
        return Paths(tuple(texts))
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        tree: Mapping[str, Any] = jmespath.compile(text).parsed
    except exceptions.JMESPathError as error:
        raise ValueError(f'"{text}" is not a JMESPath: {" ".join(str(error).split())}') from None
    return tree


def _check_functions(text: str, tree: Mapping[str, Any]) -> None:
    """Refuse a call of a function that does not exist, which the library notices only in use."""
    known = _Functions.FUNCTION_TABLE
    if tree["type"] == "function_expression" and tree["value"] not in known:
        close = difflib.get_close_matches(tree["value"], known, n=1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        raise ValueError(f'"{text}" calls "{tree["value"]}", which is no function{hint}')
    for child in tree["children"]:
        if isinstance(child, dict):
            _check_functions(text, child)


PathList = Annotated[
    Paths,
    BeforeValidator(_compiled),
    PlainSerializer(lambda paths: list(paths.texts)),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
    ),
]
"""One JMESPath or several, as a provider file writes them."""
