"""Who may use the API, and for what."""

from dataclasses import dataclass, field
from enum import StrEnum


class Scope(StrEnum):
    """What a token may do; `admin` may everything, on everyone's watches."""

    WATCH = "watch"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is configured: `digest` is the SHA-256 of its text, in lower-case hexadecimal."""

    name: str
    digest: str = field(repr=False)
    scopes: frozenset[Scope]
