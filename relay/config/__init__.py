"""The configuration: found, read, checked, and turned into plain values.

A file is checked as a whole, and every problem is told at once with its line.
Secrets stay references until they are read.
"""

from relay.config.changes import Changes, Difference, changes
from relay.config.fields import web_url
from relay.config.loading import ConfigInvalid, find, load
from relay.config.schema import config_schema
from relay.config.secrets import Plain, Secret, SecretUnreadable, ensure_signing_secret, read_signing_secret, resolve
from relay.config.show import Setting, settings_in_force, toml
from relay.config.signing import Signing, read_signers, read_signing_key
from relay.config.values import (
    Auth,
    BasicAuth,
    Callbacks,
    Config,
    Destination,
    DestinationType,
    Egress,
    Heartbeat,
    Listen,
    Log,
    Provider,
    Retention,
    Route,
    Schedule,
    Server,
    Store,
)

__all__ = [
    "Auth",
    "BasicAuth",
    "Callbacks",
    "Changes",
    "Config",
    "ConfigInvalid",
    "Destination",
    "DestinationType",
    "Difference",
    "Egress",
    "Heartbeat",
    "Listen",
    "Log",
    "Plain",
    "Provider",
    "Retention",
    "Route",
    "Schedule",
    "Secret",
    "SecretUnreadable",
    "Server",
    "Setting",
    "Signing",
    "Store",
    "changes",
    "config_schema",
    "ensure_signing_secret",
    "find",
    "load",
    "read_signers",
    "read_signing_key",
    "read_signing_secret",
    "resolve",
    "settings_in_force",
    "toml",
    "web_url",
]
