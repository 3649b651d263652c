"""What the loops need from the world, as Protocols."""

from relay.core.ports.clock import Clock, Entropy, Wakeup
from relay.core.ports.deliveries import Deliveries, DeliveryFilter, DeliveryView
from relay.core.ports.destination import Destination
from relay.core.ports.dispatching import Dispatching, News, Outgoing
from relay.core.ports.events import EventFilter, Events
from relay.core.ports.housekeeping import Counts, Housekeeping
from relay.core.ports.kept_answers import KeptAnswer, KeptAnswers
from relay.core.ports.lanes import Lanes, LaneView
from relay.core.ports.polling import Ending, Polling
from relay.core.ports.provider import Provider
from relay.core.ports.store import Store
from relay.core.ports.tokens import Tokens
from relay.core.ports.transport import Transport
from relay.core.ports.watches import Added, Watches, WatchFilter, WatchView

__all__ = [
    "Added",
    "Clock",
    "Counts",
    "Deliveries",
    "DeliveryFilter",
    "DeliveryView",
    "Destination",
    "Dispatching",
    "Ending",
    "Entropy",
    "EventFilter",
    "Events",
    "Housekeeping",
    "KeptAnswer",
    "KeptAnswers",
    "LaneView",
    "Lanes",
    "News",
    "Outgoing",
    "Polling",
    "Provider",
    "Store",
    "Tokens",
    "Transport",
    "Wakeup",
    "WatchFilter",
    "WatchView",
    "Watches",
]
