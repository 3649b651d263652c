"""What is known of durations, brought up to date once per commit however many jobs ended in it."""

from relay.core.learning import Evidence
from relay.store import rows
from relay.store.writer import Transaction

_MODELS_KEPT = 200
"""How many kinds of duration a provider may have; those longest without news go first."""


def write_lessons(transaction: Transaction) -> None:
    """Add to what is known whatever the transaction's writes have taught."""
    if not transaction.lessons:
        return
    kinds = rows.text([[kind.provider, kind.phase, kind.model or ""] for kind in transaction.lessons])
    known = dict(map(rows.evidence, transaction.fetch("durations_of_kinds", kinds=kinds)))
    transaction.many(
        "set_duration",
        [
            rows.evidence_columns(kind, known.get(kind, Evidence()).plus(traces), transaction.taught_at)
            for kind, traces in transaction.lessons.items()
        ],
    )
    if any(kind not in known for kind in transaction.lessons):
        for provider in {kind.provider for kind in transaction.lessons}:
            transaction.fetch("forget_durations", provider=provider, kept=_MODELS_KEPT)
