"""The HTTP API: resources, tokens, and problem documents."""

from relay.api.app import build_app
from relay.api.auth import CreatedTokens
from relay.api.context import Context, Followed, NamedDestination, Vitals
from relay.api.server import Listener

__all__ = ["Context", "CreatedTokens", "Followed", "Listener", "NamedDestination", "Vitals", "build_app"]
