"""What holds: every setting with its value, and where that comes from."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from relay.config.loading import read_sources
from relay.config.schema import ConfigTable, Table
from relay.config.sources import Sources
from relay.config.values import Config, Provider
from relay.diagnostics import Path as KeyPath

_WITH_URLS = frozenset({"destinations", "heartbeat"})
_HIDDEN = '"***"'
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: its value as it would stand in a file, and its origin.

    That is `default`, `FILE:LINE`, `$VARIABLE`, or the preset or provider file.
    """

    key: str
    value: str
    origin: str


Inherited = Callable[[Provider], tuple[str, Mapping[str, object]]]
"""Tells by what name a provider's description goes, and the settings that it brings, as they would be written."""


def nothing_inherited(_provider: Provider) -> tuple[str, Mapping[str, object]]:
    """Know nothing of any provider."""
    return "", {}


def settings_in_force(
    config: Config, *, env: Mapping[str, str] = os.environ, inherited: Inherited = nothing_inherited
) -> tuple[Setting, ...]:
    """Return every setting of a configuration that was loaded with `env`: what was said, what presets bring, defaults.

    References to secrets are shown, values that are or may hold one are not.
    Raises ConfigInvalid where the files cannot be read again.
    """
    sources = read_sources(config.path, env)
    found = list(_settings(sources, ConfigTable.model_validate(sources.data), sources.data, ()))
    for name, provider in config.providers.items():
        origin, settings = inherited(provider)
        table = f"{_dotted(('providers', name))}."
        own = [number for number, setting in enumerate(found) if setting.key.startswith(table)]
        given = {found[number].key for number in own}
        brought = (Setting(table + key, toml(value), origin) for key, value in settings.items())
        place = own[-1] + 1 if own else len(found)
        found[place:place] = [setting for setting in brought if setting.key not in given]
    return tuple(found)


def _settings(source: Sources, table: Table, written: Mapping[str, Any], path: KeyPath) -> Iterator[Setting]:
    for attribute, field in type(table).model_fields.items():
        name = field.alias or attribute
        here, value, given = (*path, name), getattr(table, attribute), written.get(name)
        if isinstance(value, Table):
            yield from _settings(source, value, given or {}, here)
        elif isinstance(value, dict) and any(isinstance(part, Table) for part in value.values()):
            for key, part in value.items():
                yield from _settings(source, part, written[name][key], (*here, key))
        elif isinstance(value, list) and any(isinstance(part, Table) for part in value):
            for index, part in enumerate(value):
                yield from _settings(source, part, written[name][index], (*here, index))
        elif given is not None:
            yield Setting(_dotted(here), _shown(name, given, path), source.origin(here))
        elif value is not None and value != {}:
            yield Setting(_dotted(here), toml(field.get_default(call_default_factory=True)), "default")


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path).removeprefix(".")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml(name)


def _shown(name: str, value: object, path: KeyPath) -> str:
    may_hold_secret = name == "hash" or (name == "url" and path[0] in _WITH_URLS and isinstance(value, str))
    return _HIDDEN if may_hold_secret else toml(value)


def toml(value: object) -> str:
    """Return a value as it would stand in a file."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {toml(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
