"""Whose the files are that root makes for a service which runs as somebody else."""

import os
from contextlib import suppress
from pathlib import Path


def hand_over(fd: int, like: Path) -> None:
    """Give an open file that root has made to whom `like` belongs; a file of anyone else is theirs already."""
    if os.geteuid() != 0:
        return
    owner = like.stat()
    with suppress(OSError):  # a container, or a network's disk, may keep root from giving files away
        os.fchown(fd, owner.st_uid, owner.st_gid)


def make_file(path: Path, like: Path) -> None:
    """Make an empty file for the owner of `like` only, unless something is at `path` already; raises OSError."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    try:
        hand_over(fd, like)
    finally:
        os.close(fd)
