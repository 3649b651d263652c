"""Answers to requests that may come again."""

from relay.core.ports import KeptAnswer
from relay.store import rows
from relay.store.part import Part
from relay.store.writer import Transaction

_FORGOTTEN_AT_ONCE = 100
"""More than come in: each request that is kept forgets some that are old."""


class SqliteKeptAnswers(Part):
    """Implements `relay.core.ports.KeptAnswers`."""

    async def claim_answer(
        self, caller: str, key: str, request: str, now: float, *, asked_before: float
    ) -> KeptAnswer | None:
        """See KeptAnswers."""

        def write(transaction: Transaction) -> KeptAnswer | None:
            transaction.fetch("forget_old_answers", asked_before=asked_before, limit=_FORGOTTEN_AT_ONCE)
            if transaction.fetch("claim_answer", caller=caller, key=key, request=request, now=now):
                return None
            return rows.kept_answer((transaction.fetch("kept_answer", caller=caller, key=key))[0])

        return await self._writer.commit(write)

    async def keep_answer(self, caller: str, key: str, answer: KeptAnswer) -> None:
        """See KeptAnswers."""
        columns = {"status": answer.status, "headers": rows.text(answer.headers), "body": answer.body}
        await self._writer.commit(
            lambda transaction: transaction.fetch("keep_answer", caller=caller, key=key, **columns)
        )

    async def give_up_answer(self, caller: str, key: str) -> None:
        """See KeptAnswers."""
        await self._writer.commit(lambda transaction: transaction.fetch("give_up_answer", caller=caller, key=key))
