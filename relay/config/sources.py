"""Where settings stand: the configuration file, the files of `conf.d` beside it, and the environment.

Tables are merged over the files, arrays of tables are continued, and any other
key is set once.  The environment overrides what the files say.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Protocol

from relay.config.secrets import is_reference
from relay.core.text import one_line
from relay.diagnostics import Path as KeyPath
from relay.diagnostics import Problem, TomlSource

PREFIX = "RELAY__"
_NAMED = frozenset({"providers", "destinations"})
"""Tables whose keys are names of the operator's: a variable may spell them in capitals and with `_`."""


class Part(Protocol):
    """One place that says something."""

    @property
    def data(self) -> dict[str, Any]:
        """What it says, as a configuration by itself."""
        ...

    def origin(self, path: KeyPath) -> str:
        """Return where `path` stands, for a person to look there."""
        ...

    def render(self, problems: Iterable[Problem]) -> str:
        """Return the problems, each with its place."""
        ...


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file."""

    source: TomlSource

    @property
    def data(self) -> dict[str, Any]:
        """See Part."""
        return self.source.data

    def origin(self, path: KeyPath) -> str:
        """See Part."""
        return f"{self.source.name}:{self.source.locate(path).line}"

    def render(self, problems: Iterable[Problem]) -> str:
        """See Part."""
        return self.source.render(problems)


@dataclass(frozen=True, slots=True)
class VariablePart:
    """An environment variable; its value may be a secret by mistake, and is not shown."""

    name: str
    data: dict[str, Any]

    def origin(self, _path: KeyPath) -> str:
        """See Part."""
        return f"${self.name}"

    def render(self, problems: Iterable[Problem]) -> str:
        """See Part."""
        return "\n".join(
            f"${self.name}: {problem.level}: {one_line(' '.join(filter(None, (problem.message, problem.hint))))}"
            for problem in problems
        )


@dataclass(slots=True)
class Sources:
    """All places together: `data` is what they come to, `problems` what contradicts itself among them."""

    data: dict[str, Any] = field(default_factory=dict)
    _parts: list[Part] = field(default_factory=list)
    _shifts: list[dict[KeyPath, int]] = field(default_factory=list)
    _clashes: list[tuple[int, Problem]] = field(default_factory=list)

    def add(self, part: Part) -> None:
        """Merge another file."""
        self._begin(part)
        self._merge(self.data, part.data, ())

    def override(self, part: Part) -> None:
        """Let a variable have the last word."""
        self._begin(part)
        _overlay(self.data, part.data)

    @property
    def clashing(self) -> bool:
        """Whether a key is set twice."""
        return bool(self._clashes)

    def origin(self, path: KeyPath) -> str:
        """Return where `path`, or the nearest thing around it, stands."""
        number, local = self._owner(path)
        return self._parts[number].origin(local)

    def render(self, problems: Iterable[Problem] = ()) -> str:
        """Return problems, and the clashes, place by place."""
        by_part: dict[int, list[Problem]] = {}
        for problem in problems:
            number, local = self._owner(problem.path)
            by_part.setdefault(number, []).append(Problem(local, problem.message, problem.hint, problem.level))
        for number, problem in self._clashes:
            by_part.setdefault(number, []).append(problem)
        return "\n".join(self._parts[number].render(found) for number, found in sorted(by_part.items()))

    def count(self, problems: Iterable[Problem] = ()) -> str:
        """Return how many errors there are, the clashes among them."""
        number = len(list(problems)) + len(self._clashes)
        return "1 error" if number == 1 else f"{number} errors"

    def _begin(self, part: Part) -> None:
        self._parts.append(part)
        self._shifts.append({})

    def _merge(self, into: dict[str, Any], more: Mapping[str, Any], path: KeyPath) -> None:
        for key, value in more.items():
            here, old = (*path, key), into.get(key)
            if old is None:
                into[key] = deepcopy(value)
            elif _is_table(old) and _is_table(value):
                self._merge(old, value, here)
            elif _is_tables(old) and _is_tables(value):
                self._shifts[-1][here] = len(old)
                old.extend(deepcopy(value))
            else:
                number, local = self._owner(here, among=len(self._parts) - 1)
                message = f'"{key}" is set already, in {self._parts[number].origin(local)}'
                self._clashes.append((len(self._parts) - 1, Problem(here, message)))

    def _owner(self, path: KeyPath, among: int | None = None) -> tuple[int, KeyPath]:
        """Return the part, of the first so many, that says most about `path`, and the path there.

        Of several that say all of it, the last one counts.
        """
        best, length = 0, -1
        for number in range(len(self._parts) if among is None else among):
            known = self._known(number, path)
            if known > length or known == len(path):
                best, length = number, known
        return best, self._local(best, path)

    def _known(self, number: int, path: KeyPath) -> int:
        """Return how many steps of `path` a part knows."""
        value: Any = self._parts[number].data
        for depth, step in enumerate(self._local(number, path)):
            within = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
            if step not in within:
                return depth
            value = value[step]
        return len(path)

    def _local(self, number: int, path: KeyPath) -> KeyPath:
        shifts = self._shifts[number]
        return tuple(
            step - shifts.get(path[:depth], 0) if isinstance(step, int) else step for depth, step in enumerate(path)
        )


def variables(env: Mapping[str, str], data: Mapping[str, Any]) -> Iterator[VariablePart]:
    """Yield the settings in the environment: `RELAY__SECTION__KEY` is `key` in `[section]`.

    A value is read as TOML where it is that, and as plain text otherwise.
    """
    for name in sorted(env):
        if name.startswith(PREFIX):
            path = _spelled(name.removeprefix(PREFIX).split("__"), data)
            value: Any = _value(env[name])
            for key in reversed(path):
                value = {key: value}
            yield VariablePart(name, value)


def _spelled(words: list[str], data: Mapping[str, Any]) -> list[str]:
    path = [word.lower() for word in words]
    if len(path) > 1 and path[0] in _NAMED and isinstance(data.get(path[0]), dict):
        known = {re.sub(r"[^a-z0-9]", "_", name.lower()): name for name in data[path[0]]}
        path[1] = known.get(path[1], path[1])
    return path


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"v = {text}")
    except (ValueError, RecursionError):
        return text
    return read["v"] if len(read) == 1 and isinstance(read["v"], bool | int | float | str | list | dict) else text


def _overlay(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if _is_table(into.get(key)) and _is_table(value):
            _overlay(into[key], value)
        else:
            into[key] = deepcopy(value)


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and not is_reference(value)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(part, dict) for part in value)
