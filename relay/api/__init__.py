"""The HTTP API: resources, tokens, and problem documents."""

from relay.api.app import build_app
from relay.api.auth import Scope, Token
from relay.api.context import Context, Followed

__all__ = ["Context", "Followed", "Scope", "Token", "build_app"]
