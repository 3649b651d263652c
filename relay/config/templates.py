"""Templates of messages: where they are, and whether they can be filled."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from relay.config.secrets import read_file
from relay.core.errors import RelayError
from relay.core.instant import iso
from relay.core.observation import OUTCOMES, Status
from relay.core.sample import sample_outcome
from relay.diagnostics import Level, Problem
from relay.diagnostics import Path as KeyPath

if TYPE_CHECKING:
    from relay.config.values import Config
    from relay.core.template import Template

_MOMENT = 1_795_255_200.0
"""A time like any other: what is tried out does not depend on it."""

_ROOM = 20_000


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """The text of a template, in the configuration or in a file of its own."""

    text: str | None = field(default=None, repr=False)
    path: Path | None = None

    def read(self) -> str:
        """Return the text as it is now; raises RelayError where the file cannot be read."""
        if self.path is None:
            return self.text or ""
        try:
            return read_file(self.path)
        except OSError as error:
            raise RelayError(f'the template "{self.path}" cannot be read: {error.strerror}') from None
        except ValueError as error:
            raise RelayError(f'the template "{self.path}" {error}') from None

    def place(self, line: int) -> str:
        """Return where a line of it is."""
        return f"line {line} of the template" if self.path is None else f"{self.path}:{line}"


def template_errors(path: KeyPath, source: TemplateSource) -> Iterator[Problem]:
    """Yield what keeps a template from being used."""
    from relay.core.template import Template, TemplateInvalid

    try:
        Template(source.read())
    except TemplateInvalid as error:
        yield Problem(path, f"{source.place(error.line)}: {error.message}")
    except RelayError as error:
        yield Problem(path, str(error))


def template_doubts(config: "Config") -> Iterator[Problem]:
    """Yield for which outcomes that routes send its way a destination's template fails."""
    for name, destination in config.destinations.items():
        if destination.template is None:
            continue
        from relay.core.template import Template

        routes = [route.statuses or frozenset(OUTCOMES) for route in config.routes if name in route.to]
        wanted = frozenset().union(*routes) if routes else frozenset(OUTCOMES)
        template = Template(destination.template.read())
        failures = {status: why for status in OUTCOMES if status in wanted and (why := _failure(template, status))}
        if failures:
            first = next(iter(failures.values()))
            message = f"fails for {', '.join(failures)}, and relay's own message is sent: {first}"
            yield Problem(("destinations", name, "template"), message, level=Level.WARNING)


def _failure(template: "Template", status: Status) -> str | None:
    from relay.core.template import TemplateFailed

    event = sample_outcome(status, _MOMENT)
    words = {"title": "title", "took": "1m47s", "problem": "problem", "delivery_id": "dlv_0123"}
    try:
        template.render({**event.data, **words, "type": event.type, "timestamp": iso(_MOMENT)}, _ROOM)
    except TemplateFailed as error:
        return str(error)
    return None
