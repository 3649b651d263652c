"""The HTTP API: resources, tokens, and problem documents."""

from relay.api.app import build_app
from relay.api.context import Context, Followed, NamedDestination, Vitals

__all__ = ["Context", "Followed", "NamedDestination", "Vitals", "build_app"]
