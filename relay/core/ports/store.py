"""The whole of the store."""

from typing import Protocol

from relay.core.ports.deliveries import Deliveries
from relay.core.ports.dispatching import Dispatching
from relay.core.ports.events import Events
from relay.core.ports.housekeeping import Housekeeping
from relay.core.ports.kept_answers import KeptAnswers
from relay.core.ports.lanes import Lanes
from relay.core.ports.polling import Polling
from relay.core.ports.tokens import Tokens
from relay.core.ports.watches import Watches


class Store(Watches, Polling, Dispatching, Deliveries, Lanes, Events, Tokens, KeptAnswers, Housekeeping, Protocol):
    """The durable state, named after its transitions, in parts by who needs them.

    A call returns after the commit that holds its write.  All raise StoreError
    where the database fails.  Both hold of each part.
    """
