"""The errors that cross a layer.

RelayError
├── InvalidValue        a value from outside breaks a rule; names the field
├── NotFound            no such watch, delivery or destination
├── Conflict            the thing asked for contradicts what is stored
├── ExtraMissing        a library that comes with an extra is not installed
├── StoreError          the database refused or failed
│   ├── StoreUnusable   it cannot be opened at all: newer, damaged, or in use
│   └── TooMuch         there is more to look through than one list may
└── TransportError      a request got no answer (relay.core.http)
"""


class RelayError(Exception):
    """Something relay foresaw went wrong."""


class InvalidValue(RelayError):
    """A value from outside breaks a rule.

    `field` is the dotted path of the value as its author wrote it.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFound(RelayError):
    """No such watch, delivery or destination."""


class Conflict(RelayError):
    """The request contradicts what is stored."""


class ExtraMissing(RelayError):
    """A library that comes with an extra is not installed; the message says which."""


class StoreError(RelayError):
    """The database refused or failed; nothing of the request was stored."""


class StoreUnusable(StoreError):
    """The database cannot be opened: it is newer than this version, damaged, or in use."""


class StoreForbidden(StoreUnusable):
    """The system does not let this user at the database; how that is, nobody knows."""


class TooMuch(StoreError):
    """Looking through the database took longer than a list may; the message says what to do."""
