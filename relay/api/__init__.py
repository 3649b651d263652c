"""The HTTP API: resources, tokens, and problem documents."""

from relay.api.app import build_app
from relay.api.context import Context, Followed, NamedDestination, Vitals
from relay.api.server import Listener

__all__ = ["Context", "Followed", "Listener", "NamedDestination", "Vitals", "build_app"]
