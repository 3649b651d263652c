"""Errors as RFC 9457 problem details, from one catalogue."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from aiohttp import web

from relay.api.answers import ProblemShown
from relay.core.errors import InvalidValue

TYPE_PREFIX = "urn:relay:problem:"


class Problem(Enum):
    """Every problem that the API answers with: its id, HTTP status and title."""

    MALFORMED = ("malformed-request", 400, "The request cannot be read")
    UNAUTHENTICATED = ("unauthenticated", 401, "A valid token is required")
    FORBIDDEN = ("forbidden", 403, "The request is not allowed")
    NOT_FOUND = ("not-found", 404, "There is no such thing")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "The method does not apply here")
    TOO_SLOW = ("too-slow", 408, "The request took too long to arrive")
    KEY_UNDER_WAY = ("idempotency-key-under-way", 409, "The request with this key is being answered")
    CONFLICT = ("conflict", 409, "The request contradicts what is stored")
    TOO_LARGE = ("too-large", 413, "The request is too large")
    UNSUPPORTED_MEDIA = ("unsupported-media-type", 415, "The body must be JSON")
    CONFIG_REFUSED = ("config-refused", 422, "The configuration cannot be used")
    KEY_REUSED = ("idempotency-key-reused", 422, "The key belongs to another request")
    INVALID = ("invalid-request", 422, "The request is not valid")
    RATE_LIMITED = ("rate-limited", 429, "The token makes too many requests")
    INTERNAL = ("internal-error", 500, "relay failed")
    TOO_MUCH = ("too-much-to-look-through", 503, "There is too much to look through")
    UNAVAILABLE = ("unavailable", 503, "relay cannot do this at the moment")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; `field` is its dotted path."""

    field: str
    message: str


class ApiProblem(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self, problem: Problem, detail: str, errors: Sequence[FieldError] = (), headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers or {}

    @classmethod
    def of_fields(cls, errors: Sequence[InvalidValue]) -> "ApiProblem":
        """Return the problem of a request whose fields break rules."""
        fields = [FieldError(error.field, error.message) for error in errors]
        return cls(Problem.INVALID, "; ".join(f"{field.field} {field.message}" for field in fields), fields)

    def document(self) -> ProblemShown:
        """Return the problem document."""
        document: ProblemShown = {
            "type": TYPE_PREFIX + self.problem.slug,
            "title": self.problem.title,
            "status": self.problem.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [{"field": error.field, "message": error.message} for error in self.errors]
        return document

    def response(self) -> web.Response:
        """Return the answer that carries the document."""
        return web.Response(
            status=self.problem.status,
            text=json.dumps(self.document(), ensure_ascii=False),
            content_type="application/problem+json",
            headers=self.headers,
        )
