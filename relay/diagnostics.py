"""Errors in TOML files, told as a compiler tells them: file, line, caret, and a way out.

Positions come from a scan of the text (relay.tomlscan), because `tomllib` keeps
none for files that parse.  What may be a secret is never shown.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from relay.core.errors import RelayError
from relay.core.text import one_line
from relay.tomlscan import Path as Path
from relay.tomlscan import Place as Place
from relay.tomlscan import Scan

Shows = Callable[[Path, str], bool]

_MOST_PROBLEMS = 50
_WIDEST = 160
"""Columns of a source line that are shown: one of a megabyte would bury the message."""
_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


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


class InvalidToml(RelayError):
    """The text is not TOML; the message is the rendered report."""


class TomlSource:
    """A TOML text with the place of each key.

    `shows` tells whether reports may show the value at a path; short ones are
    shown unless it says otherwise.  Comments never are.
    """

    def __init__(self, name: str, text: str, data: dict[str, Any], shows: Shows | None = None) -> None:
        self.name = name
        self.data = data
        self._text = text
        self._shows = shows or _is_short

    @classmethod
    def parse(cls, text: str, name: str, *, shows: Shows | None = None) -> "TomlSource":
        """Read `text`; raises InvalidToml with a report where it is not TOML."""
        try:
            return cls(name, text, tomllib.loads(text), shows)
        except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
            place, message = _syntax_place(text, str(error))
            broken = cls(name, text, {}, shows)
            raise InvalidToml(broken._render(place, Problem((), message))) from error

    def locate(self, path: Path) -> Place:
        """Return where `path` stands, or the nearest thing around it."""
        around = (path[:length] for length in range(len(path), 0, -1))
        return next((self._scan.places[part] for part in around if part in self._scan.places), Place(1, 1))

    def render(self, problems: Iterable[Problem]) -> str:
        """Return every problem with its line and a caret under the key, in the order of the file."""
        placed = sorted(
            ((self.locate(problem.path), problem) for problem in problems),
            key=lambda item: (item[0].line, item[0].column),
        )
        more = len(placed) - _MOST_PROBLEMS
        shown = [self._render(place, problem) for place, problem in placed[:_MOST_PROBLEMS]]
        return "\n".join([*shown, f"and {more} more"] if more > 0 else shown)

    def _render(self, place: Place, problem: Problem) -> str:
        head = f"{self.name}:{place.line}:{place.column}: {problem.level}: {one_line(problem.message)}"
        hint = f" {one_line(problem.hint)}" if problem.hint else ""
        if not 0 < place.line <= len(self._lines):
            return f"{head}\n   {hint}" if hint else head
        number = str(place.line)
        start = max(place.column - _WIDEST // 2, 0) if place.column > _WIDEST // 2 else 0
        line = self._lines[place.line - 1][start : start + _WIDEST]
        indent = re.sub(r"[^\t]", " ", line[: place.column - 1 - start])
        caret = "^" * min(max(place.length, 1), _WIDEST - len(indent))
        return f"{head}\n{number} | {line}\n{' ' * len(number)} | {indent}{caret}{hint}"

    @cached_property
    def _scan(self) -> Scan:
        return Scan.of(self._text)

    @cached_property
    def _lines(self) -> list[str]:
        """The lines as they may be shown: column for column, values hidden where they are not for showing."""
        shown, position = [], 0
        for scalar in self._scan.scalars:
            value = self._text[scalar.start : scalar.end]
            shown.append(self._text[position : scalar.start])
            shown.append(value if self._may_show(scalar.path, value) else _hidden(value))
            position = scalar.end
        lines = "".join([*shown, self._text[position:]]).split("\n")
        return ["".join(c if c.isprintable() or c == "\t" else " " for c in line).rstrip() for line in lines]

    def _may_show(self, path: Path | None, value: str) -> bool:
        return path is not None and "\n" not in value and self._shows(path, value.strip("\"'"))


def _hidden(value: str) -> str:
    """Return as many stars, or nothing to see where a comment was."""
    return re.sub(r"[^\n]", " " if value.startswith("#") else "*", value)


def _is_short(_path: Path, value: str) -> bool:
    return len(value) < 16


def did_you_mean(name: str, known: Collection[str]) -> str | None:
    """Return the hint that names what is close to `name`, or what there is."""
    listed = f"there is: {', '.join(sorted(known))}" if 0 < len(known) <= 12 else None
    return _close(name, known) or listed


def _close(name: str, known: Collection[str]) -> str | None:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else None


def problems_of(error: ValidationError, model: type[BaseModel], prefix: Path = ()) -> list[Problem]:
    """Return what pydantic found, in plain sentences."""
    found: dict[tuple[Path, str], Problem] = {}
    for item in error.errors(include_url=False):
        path, known = _resolve(model, item["loc"])
        problem = Problem(prefix + path, *_sentence(item, known))
        found[problem.path, problem.message] = problem
    return list(found.values())


def _sentence(item: Any, known: Collection[str]) -> tuple[str, str | None]:
    kind = item["type"]
    key = next((part for part in reversed(item["loc"]) if isinstance(part, str) and part != "[key]"), "")
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
            return f'"{key}" must be one of {", ".join(allowed)}', _close(str(item["input"]), allowed)
        case "model_type" | "dict_type":
            return f'"{key}" should be a table', None
        case "list_type" | "tuple_type":
            return f'"{key}" should be a list', None
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
        return Place(text.rstrip().count("\n") + 1, 1), f"{plain} at the end of the file"
    return Place(int(found[1]), int(found[2])), plain
