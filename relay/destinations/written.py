"""Messages that an operator's template writes, in place of those that come with relay."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.core.event import Event
from relay.core.instant import iso
from relay.destinations.fitting import packed
from relay.destinations.message import Link, Notice, is_followable

if TYPE_CHECKING:
    from relay.core.template import Template

_LONGEST_RENDERED = 20_000


@dataclass(frozen=True, slots=True)
class Written:
    """What a template wrote; without `text`, the message that comes with relay is sent, and `doubt` tells why."""

    text: str | None = None
    doubt: str | None = None


def written(template: "Template | None", event: Event, told: Notice, limit: int) -> Written:
    """Return what a template makes of an event, cut after a line so that it holds at most `limit` units.

    Templates are for jobs: what there is to say of providers and destinations
    has other fields.
    """
    if template is None or not event.type.startswith("job."):
        return Written()
    from relay.core.template import TemplateFailed

    try:
        text = template.render(values(event, told), _LONGEST_RENDERED)
    except TemplateFailed as error:
        return Written(doubt=f"the template failed, and the message was relay's own: {error}")
    lines = text.split("\n")
    kept = packed(lines, limit - 1)
    if not any(line.strip() for line in kept):
        why = "longer than a message" if text else "empty"
        return Written(doubt=f"the template failed, and the message was relay's own: what it wrote is {why}")
    return Written("\n".join(kept) if len(kept) == len(lines) else "\n".join([*kept, "…"]))


def values(event: Event, told: Notice) -> Mapping[str, object]:
    """Return what a template may name (relay.core.template.VARIABLES)."""
    facts = {fact.name: fact.value for fact in told.facts}
    return {
        **event.data,
        "type": event.type,
        "timestamp": iso(event.created_at),
        "title": told.title,
        "took": facts.get("Took") or facts.get("Watched for"),
        "problem": told.error,
        "delivery_id": told.delivery_id,
    }


def compiled(source: str, escapes: Mapping[str, str], write: Callable[[Link], str]) -> "Template":
    """Return the template that `source` is, in the dialect of a chat: its escapes, and how it writes a link.

    Raises TemplateInvalid.
    """
    from relay.core.template import Dialect, Template

    return Template(
        source,
        Dialect(
            escape=lambda text: "".join(escapes.get(character, character) for character in text),
            link=lambda url, label: write(Link(label, url, is_followable(url))),
        ),
    )
