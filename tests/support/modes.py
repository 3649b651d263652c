"""A process that the modes of files hold for, as they do for everybody but root."""

import os
import shutil

import pytest

_IS_ROOT = os.geteuid() == 0

UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if _IS_ROOT else ()
"""What to put before a command."""

heeds_modes = pytest.mark.skipif(
    _IS_ROOT and shutil.which("setpriv") is None, reason="setpriv, which takes root's privileges away, is not here"
)
