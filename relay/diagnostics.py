"""Errors in TOML files, told as a compiler tells them: file, line, caret, and a way out.

Positions come from a light scan of the text, because `tomllib` keeps none for
files that parse.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from relay.core.errors import RelayError

Path = tuple[str | int, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]")
_PART = re.compile(_KEY)
_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TOKEN = re.compile(r"""\"\"\"|'''|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[\[\]{}]""")


class Level(StrEnum):
    """How bad a problem is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a path of a file; `hint` is the way out."""

    path: Path
    message: str
    hint: str | None = None
    level: Level = Level.ERROR


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of one line; `line` and `column` count from 1."""

    line: int
    column: int
    length: int = 1


class InvalidToml(RelayError):
    """The text is not TOML; the message is the rendered report."""


class TomlSource:
    """A TOML text with the place of each key."""

    def __init__(self, name: str, text: str, data: dict[str, Any], places: Mapping[Path, Place]) -> None:
        self.name = name
        self.data = data
        self._lines = text.splitlines()
        self._places = places

    @classmethod
    def parse(cls, text: str, name: str) -> "TomlSource":
        """Read `text`; raises InvalidToml with a report where it is not TOML."""
        try:
            return cls(name, text, tomllib.loads(text), _scan(text))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            place, message = _syntax_place(text, str(error))
            empty = cls(name, text, {}, {(): place})
            raise InvalidToml(empty.render([Problem((), message)])) from error

    def locate(self, path: Path) -> Place:
        """Return where `path` stands, or the nearest thing around it."""
        for length in range(len(path), -1, -1):
            place = self._places.get(path[:length])
            if place is not None:
                return self._inside(place, path[length:]) or place
        return Place(1, 1)

    def _inside(self, around: Place, rest: Path) -> Place | None:
        """Find a key of an inline table by looking along the line that holds the table."""
        names = [part for part in rest if isinstance(part, str)]
        if not names:
            return None
        line = self._lines[around.line - 1]
        found = re.search(rf"(?<![\w.-]){re.escape(names[-1])}(?=\s*=)", line[around.column - 1 + around.length :])
        if found is None:
            return None
        return Place(around.line, around.column + around.length + found.start(), len(names[-1]))

    def render(self, problems: Iterable[Problem]) -> str:
        """Return every problem with its line and a caret under the key; values of strings are not shown."""
        placed = sorted(((self.locate(problem.path), problem) for problem in problems), key=lambda item: item[0].line)
        return "\n".join(self._render(place, problem) for place, problem in placed)

    def _render(self, place: Place, problem: Problem) -> str:
        head = f"{self.name}:{place.line}:{place.column}: {problem.level}: {problem.message}"
        if not 0 < place.line <= len(self._lines):
            return head if problem.hint is None else f"{head}\n    {problem.hint}"
        number = str(place.line)
        margin = " " * len(number)
        shown = _without_values(self._lines[place.line - 1])
        caret = " " * (place.column - 1) + "^" * max(place.length, 1)
        hint = f" {problem.hint}" if problem.hint else ""
        return f"{head}\n{number} | {shown}\n{margin} | {caret}{hint}"


def did_you_mean(name: str, known: Collection[str]) -> str | None:
    """Return the hint that names what is close to `name`, or what there is."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"there is: {', '.join(sorted(known))}" if 0 < len(known) <= 12 else None


def problems_of(error: ValidationError, model: type[BaseModel], prefix: Path = ()) -> list[Problem]:
    """Return what pydantic found, in plain sentences."""
    found: dict[tuple[Path, str], Problem] = {}
    for item in error.errors(include_url=False):
        path, known = _resolve(model, item["loc"])
        problem = Problem(prefix + path, *_sentence(item, known))
        found[problem.path, problem.message] = problem
    return list(found.values())


def _sentence(item: Any, known: Collection[str]) -> tuple[str, str | None]:
    kind, key = item["type"], item["loc"][-1] if item["loc"] else ""
    context = item.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return f'unknown key "{key}"', did_you_mean(str(key), known)
        case "missing":
            return f'the key "{key}" is missing', None
        case "value_error":
            return f'"{key}": {context.get("error", item["msg"])}', None
        case "enum" | "literal_error":
            allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            return f'"{key}" must be one of {", ".join(allowed)}', did_you_mean(str(item["input"]), allowed)
        case _:
            message = item["msg"].replace("Input should", "should").replace("String should", "should")
            return f'"{key}" {message}', None


def _resolve(model: type[BaseModel], location: Sequence[str | int]) -> tuple[Path, Collection[str]]:
    """Return the path in the file, without pydantic's own tags, and the keys known at its parent."""
    path: list[str | int] = []
    current: type[BaseModel] | None = model
    known: Collection[str] = _keys(model)
    for part in location:
        known = _keys(current) if current else known
        if isinstance(part, str) and (part == "[key]" or part.startswith(("function-", "tagged-", "union"))):
            continue
        path.append(part)
        current = _below(current, part) if current else None
    return tuple(path), known


def _keys(model: type[BaseModel]) -> Collection[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _below(model: type[BaseModel], part: str | int) -> type[BaseModel] | None:
    for name, field in model.model_fields.items():
        if part in (name, field.alias):
            return _model_in(field.annotation)
    return model if isinstance(part, int) else None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _syntax_place(text: str, message: str) -> tuple[Place, str]:
    found = _SYNTAX_PLACE.search(message)
    if found is None:
        return Place(1, 1), message
    plain = message[: found.start()]
    if found[1] is None:
        return Place(max(len(text.splitlines()), 1), 1), f"{plain} at the end of the file"
    return Place(int(found[1]), int(found[2])), plain


def _without_values(line: str) -> str:
    """Return a source line whose strings are hidden where they could be secrets: after ``=``."""
    head, equals, value = line.partition("=")
    if not equals:
        return line
    return head + equals + re.sub(r"""(?<![\w])(["'])[^"']{16,}(?:\1|$)""", r"\1...\1", value)


def _scan(text: str) -> dict[Path, Place]:
    places: dict[Path, Place] = {}
    table: Path = ()
    arrays: dict[Path, int] = {}
    open_until, depth = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not open_until and depth == 0:
            header = _HEADER.match(line)
            if header:
                table = _enter(_parts(header[2]), double=header[1] == "[[", arrays=arrays)
                places.setdefault(table, Place(number, header.start(2) + 1, len(header[2])))
                continue
            key = _DOTTED.match(line)
            if key:
                path: Path = table
                for part in _PART.finditer(key[1]):
                    path = (*path, _unquoted(part[0]))
                    start = key.start(1) + part.start() + 1
                    places.setdefault(path, Place(number, start, len(part[0])))
                line = line[key.end() :]
        open_until, depth = _continue(line, open_until, depth)
    return places


def _enter(parts: Sequence[str], *, double: bool, arrays: dict[Path, int]) -> Path:
    path: Path = ()
    for index, part in enumerate(parts):
        path = (*path, part)
        last = index == len(parts) - 1
        if last and double:
            arrays[path] = arrays.get(path, -1) + 1
        if path in arrays:
            path = (*path, arrays[path])
    return path


def _continue(line: str, open_until: str, depth: int) -> tuple[str, int]:
    """Follow multi-line strings and brackets over one line."""
    position = 0
    while position < len(line):
        if open_until:
            end = line.find(open_until, position)
            if end < 0:
                return open_until, depth
            position, open_until = end + 3, ""
            continue
        token = _TOKEN.search(line, position)
        if token is None:
            break
        position = token.end()
        if token[0] in ('"""', "'''"):
            open_until = token[0]
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth = max(depth - 1, 0)
    return open_until, depth


def _parts(dotted: str) -> list[str]:
    return [_unquoted(part[0]) for part in _PART.finditer(dotted)]


def _unquoted(key: str) -> str:
    if key[:1] == '"':
        return str(tomllib.loads(f"k = {key}")["k"])
    return key[1:-1] if key[:1] == "'" else key
