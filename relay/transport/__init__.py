"""The one HTTP client.

Answers are hostile until read: identity encoding is asked for and bodies are
capped, a total timeout always holds, redirects and cookies and the
environment's proxies are ignored, and the address is checked on the socket
itself, which every spelling of a host has to pass.
"""

from relay.transport.client import USER_AGENT, open_transport
from relay.transport.egress import Egress
from relay.transport.foresight import Foresight
from relay.transport.services import ServiceTransport, check_service

__all__ = ["USER_AGENT", "Egress", "Foresight", "ServiceTransport", "check_service", "open_transport"]
