"""Whether a write-ahead log still holds what was committed to it.

SQLite takes a log that ends early for one whose last writer was cut off, and
opens the database without the rest: right after a crash, and silent loss where
the disk, or a copy, dropped commits that were synced.  The index that SQLite
keeps beside the log tells the two apart, as it counts a commit only once that
is on disk, and lives through a crash of the process.  Whoever opens the
database first writes the index anew, so it has to be asked before.

Formats: https://sqlite.org/walformat.html and https://sqlite.org/fileformat2.html#walformat
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_VERSION = 3007000
_INDEX = struct.Struct("=IIIBBHIIII8sII")
"""One copy of the index's header, in the byte order of the machine."""
_BACKFILLED = struct.Struct("=I")
_LOG_HEADER = struct.Struct(">IIII8sII")
_FRAME_HEADER = struct.Struct(">II8sII")
_MAGIC = 0x377F0682
"""The lowest bit of a log's magic number tells whether its checksums take words as big-endian."""
_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Index:
    """What an index says of its log: frames that were committed, and how many of them the database holds as well.

    The salts name the log's generation; they change when it is begun anew.
    """

    committed: int
    backfilled: int
    salts: bytes


def parse_index(data: bytes) -> Index | None:
    """Return what the beginning of a `-shm` file says; None where it was being written, or is none."""
    size = _INDEX.size
    if len(data) < 2 * size + _BACKFILLED.size or data[:size] != data[size : 2 * size]:
        return None
    version, _, _, ready, _, _, committed, *_, salts, sum0, sum1 = _INDEX.unpack_from(data)
    words = struct.unpack_from("=10I", data)
    if version != _VERSION or not ready or _checksum(words, (0, 0)) != (sum0, sum1):
        return None
    (backfilled,) = _BACKFILLED.unpack_from(data, 2 * size)
    return Index(committed, backfilled, salts)


def intact_frames(log: BinaryIO, index: Index) -> int:
    """Return how many of the frames that `index` counts SQLite will find in the log, up to the last whole commit.

    All of them for a log of another generation, of which `index` says nothing.
    """
    header = log.read(_LOG_HEADER.size)
    if len(header) < _LOG_HEADER.size:
        return 0
    magic, version, page_size, _, salts, *sums = _LOG_HEADER.unpack(header)
    order = ">" if magic & 1 else "<"
    running = _checksum(struct.unpack_from(f"{order}6I", header), (0, 0))
    if magic & ~1 != _MAGIC or version != _VERSION or running != tuple(sums):
        return 0
    if salts != index.salts:
        return index.committed
    words, whole = struct.Struct(f"{order}{page_size // 4}I"), 0
    for number in range(1, index.committed + 1):
        frame = log.read(_FRAME_HEADER.size + page_size)
        if len(frame) < _FRAME_HEADER.size + page_size:
            break
        page, pages_after, frame_salts, *sums = _FRAME_HEADER.unpack_from(frame)
        running = _checksum(struct.unpack_from(f"{order}2I", frame), running)
        running = _checksum(words.unpack_from(frame, _FRAME_HEADER.size), running)
        if page == 0 or frame_salts != salts or running != tuple(sums):
            break
        if pages_after:  # set in the last frame of a commit
            whole = number
    return whole


def log_damage(database: Path) -> str | None:
    """Return what a database's log has lost, with the way out, or None where nothing is known to be gone.

    Safe beside a process that uses the database.
    """
    log, shared = (database.with_name(database.name + suffix) for suffix in ("-wal", "-shm"))
    if _size(database) == 0 and _size(log) > _LOG_HEADER.size:
        return f"{database} is gone and its write-ahead log is not: put it back, or move {log} away as well"
    while (index := _index(shared)) is not None and index.committed > 0:
        intact = _intact(log, index)
        if intact == index.committed or (intact == 0 and index.backfilled == index.committed):
            return None
        now = _index(shared)
        if now is not None and now.salts == index.salts:  # else it was begun anew meanwhile
            return f"{database} is damaged: {_loss(index, intact, log, shared)}"
    return None


def _loss(index: Index, intact: int, log: Path, shared: Path) -> str:
    found = f"of {index.committed} pages that were committed to {log}, {intact} are left"
    if index.backfilled == index.committed:
        return f"{found}; the database itself holds them all: remove {log} and {shared}"
    if index.backfilled > intact:
        return f"{found}, which do not fit the database; restore it from a backup"
    return f"{found}; restore it from a backup, or remove {shared} to go on without what is gone"


def _index(shared: Path) -> Index | None:
    try:
        with shared.open("rb") as file:
            return parse_index(file.read(2 * _INDEX.size + _BACKFILLED.size))
    except FileNotFoundError:
        return None


def _intact(log: Path, index: Index) -> int:
    try:
        with log.open("rb") as file:
            return intact_frames(file, index)
    except FileNotFoundError:
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _checksum(words: Sequence[int], before: tuple[int, int]) -> tuple[int, int]:
    """Go on with the checksum of section 4.2 of the file format by an even number of words."""
    first, second = before
    pairs = iter(words)
    for one, other in zip(pairs, pairs, strict=True):
        first = (first + one + second) & _WORD
        second = (second + other + first) & _WORD
    return first, second
