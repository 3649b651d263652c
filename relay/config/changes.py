"""What differs between two configurations, and what of it a running daemon cannot take over."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from relay.config.values import Config

_TABLES = ("providers", "destinations")
_NO_SETTINGS = frozenset({"path", "warnings", *_TABLES})
_FIXED = {"server": ("grace_s", "rate"), "store": (), "egress": ()}
"""Sections that hold for as long as the process lives, each with its fields that do not."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How a table of named things changed, by name."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What another configuration changes.

    `sections` are the other tables that differ, `needs_restart` the keys whose
    new values hold from the next start on.
    """

    providers: Difference
    destinations: Difference
    sections: tuple[str, ...]
    needs_restart: tuple[str, ...]


def changes(before: Config, after: Config) -> Changes:
    """Return what `after` changes; the contents of secrets and provider files are not compared."""
    names = [field.name for field in fields(Config) if field.name not in _NO_SETTINGS]
    return Changes(
        providers=_difference(before.providers, after.providers),
        destinations=_difference(before.destinations, after.destinations),
        sections=tuple(name for name in names if getattr(before, name) != getattr(after, name)),
        needs_restart=tuple(
            f"{section}.{field.name}"
            for section, live in _FIXED.items()
            for field in fields(getattr(before, section))
            if field.name not in (*live, "path")
            and getattr(getattr(before, section), field.name) != getattr(getattr(after, section), field.name)
        ),
    )


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    return Difference(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(sorted(name for name in before.keys() & after.keys() if before[name] != after[name])),
    )
