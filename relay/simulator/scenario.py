"""What happens to a simulated job, and how it is said."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

_DIRECTIVE = re.compile(r"\[sim((?:\s+\w+=[^\s\]]+)*)\s*\]")

OUTCOMES = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Scenario:
    """The fate of one job; times are in seconds."""

    outcome: str = "completed"
    queued_s: float = 0.5
    running_s: float = 2.0
    outputs: int = 1
    moderated: bool = False
    error_code: str = "server_error"
    error_message: str = "Upstream provider request timed out."
    literal: str | None = None
    """Says this instead of the provider's own word for a running job."""

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f'outcome is one of {", ".join(OUTCOMES)}, not "{self.outcome}"')

    @classmethod
    def told_by(cls, prompt: str, default: "Scenario") -> "Scenario":
        """Return `default` with what a directive in a prompt says: ``[sim outcome=failed running_s=2]``.

        Raises ValueError for a directive that cannot be followed.
        """
        found = _DIRECTIVE.search(prompt)
        if found is None:
            return default
        return default.changed(dict(pair.split("=", 1) for pair in found[1].split()))

    def changed(self, values: Mapping[str, object]) -> "Scenario":
        """Return this scenario with other values, given as text or JSON; raises ValueError for unknown ones."""
        known = {field.name for field in fields(self)}
        if unknown := set(values) - known:
            raise ValueError(f"a scenario has no {', '.join(sorted(unknown))}")
        defaults = Scenario()
        kinds = {name: type(getattr(defaults, name)) for name in known}
        return replace(self, **{name: _as(kinds[name], value) for name, value in values.items()})  # type: ignore[arg-type]


def _as(kind: type, value: object) -> object:
    text = str(value)
    if kind is bool:
        return text.lower() in ("true", "1", "yes")
    return int(text) if kind is int else float(text) if kind is float else text
