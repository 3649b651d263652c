"""Where the shipped unit keeps what is relay's: a command beside the service looks in the same places.

systemd names them to the service in its environment; nobody names them to an operator's shell.
"""

import os
from pathlib import Path

CONFIGURATION = Path("/etc/relay/config.toml")
STATE = Path("/var/lib/relay")
RUNTIME = Path("/run/relay")


def is_the_services(configuration: Path) -> bool:
    """Tell whether this configuration is the one that the shipped unit names, however it is written."""
    return Path(os.path.normpath(configuration.absolute())) == CONFIGURATION
