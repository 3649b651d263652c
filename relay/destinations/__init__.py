"""Destinations: from an event to a request, from an answer to a verdict.

Pure: they open no socket and keep no state, so that any attempt can be made
again after a crash.
"""

from relay.destinations.apprise import AppriseDestination, apprise_template
from relay.destinations.callback import CallbackDestination
from relay.destinations.discord import DiscordDestination, discord_template
from relay.destinations.slack import SlackDestination, slack_template
from relay.destinations.targets import callback_names, callback_target, named_target

__all__ = [
    "AppriseDestination",
    "CallbackDestination",
    "DiscordDestination",
    "SlackDestination",
    "apprise_template",
    "callback_names",
    "callback_target",
    "discord_template",
    "named_target",
    "slack_template",
]
