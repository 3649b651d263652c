"""Paths into a JSON body: JMESPath, in order of preference.

Three functions are added to the language: ``from_json(text)`` reads JSON kept
inside a string, ``split(text, separator)`` cuts one, and ``deep(value, key)``
collects every value of a key at any depth.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import jmespath
from jmespath import exceptions, functions
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DEEPEST = 32
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

    def find(self, body: Any) -> Any:
        """Return what the first candidate that fits finds, or None; never raises."""
        return next(self.each(body), None)

    def each(self, body: Any) -> Iterator[Any]:
        """Yield what each candidate finds, in order; never raises."""
        for expression in self._compiled:
            try:
                found = expression.search(body, options=_OPTIONS)
            except (exceptions.JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError):
                continue
            if found is not None:
                yield found


def parse_json(text: str) -> Any:
    """Return the value of a JSON text, or None where it is none.

    Stricter than the standard library: NaN and infinities are no JSON
    (RFC 8259, section 6).
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _deep(value: Any, key: str, levels: int) -> Iterator[Any]:
    if levels == 0:
        return
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        value = [item for name, item in value.items() if name != key]
    if isinstance(value, list):
        for item in value:
            yield from _deep(item, key, levels - 1)


def _compiled(value: object) -> Paths:
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("must be a JMESPath, or a list of them in order of preference")
    for text in texts:
        try:
            jmespath.compile(text)
        except exceptions.JMESPathError as error:
            raise ValueError(f'"{text}" is not a JMESPath: {" ".join(str(error).split())}') from None
    return Paths(tuple(texts))


PathList = Annotated[
    Paths,
    BeforeValidator(_compiled),
    PlainSerializer(lambda paths: list(paths.texts)),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
    ),
]
"""One JMESPath or several, as a provider file writes them."""
