"""Providers with the real wire formats and a recording receiver, on loopback.

The demo, the tests and the benches run against them; nothing of the daemon does.
"""

from relay.simulator.app import Simulator
from relay.simulator.faults import Fault, Limit
from relay.simulator.receiver import Behaviour, Received, Receiver
from relay.simulator.scenario import Scenario

__all__ = ["Behaviour", "Fault", "Limit", "Received", "Receiver", "Scenario", "Simulator"]
