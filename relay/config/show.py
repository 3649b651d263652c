"""What holds: every setting with its value, and where that comes from."""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.config.loading import load, read_source
from relay.config.schema import ConfigTable, Table
from relay.diagnostics import Path as KeyPath
from relay.diagnostics import TomlSource

_HIDDEN = '"***"'


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: its value as it would stand in the file, and its origin, `default` or `FILE:LINE`."""

    key: str
    value: str
    origin: str


def settings_in_force(
    path: Path, *, presets: Collection[str], env: Mapping[str, str] = os.environ
) -> tuple[Setting, ...]:
    """Return the settings of the file `path` and every default; what a preset decides is left out.

    References to secrets are shown, values that are or may hold one are not.
    Raises ConfigInvalid like `load`.
    """
    load(path, presets=presets, env=env)
    source = read_source(path)
    return tuple(_settings(source, ConfigTable.model_validate(source.data), source.data, ()))


def _settings(source: TomlSource, table: Table, written: Mapping[str, Any], path: KeyPath) -> Iterator[Setting]:
    for name, field in type(table).model_fields.items():
        here, value, given = (*path, name), getattr(table, name), written.get(name)
        if isinstance(value, Table):
            yield from _settings(source, value, given or {}, here)
        elif isinstance(value, dict) and any(isinstance(part, Table) for part in value.values()):
            for key, part in value.items():
                yield from _settings(source, part, written[name][key], (*here, key))
        elif isinstance(value, list) and any(isinstance(part, Table) for part in value):
            for index, part in enumerate(value):
                yield from _settings(source, part, written[name][index], (*here, index))
        elif given is not None:
            yield Setting(_dotted(here), _shown(name, given, path), f"{source.name}:{source.locate(here).line}")
        elif value is not None and value != {}:
            yield Setting(_dotted(here), _toml(field.get_default(call_default_factory=True)), "default")


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _shown(name: str, value: object, path: KeyPath) -> str:
    may_hold_secret = name == "hash" or (name == "url" and path[0] == "destinations" and isinstance(value, str))
    return _HIDDEN if may_hold_secret else _toml(value)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
