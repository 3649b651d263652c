"""A write-ahead log that lost commits which were synced is told apart from one that a crash cut off."""

import os
import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest

from relay.core.errors import StoreUnusable
from relay.core.observation import Job
from relay.core.ports import WatchFilter
from relay.core.watch import NewWatch, Target
from relay.store import open_sqlite, upkeep
from relay.store.wal import Index, intact_frames, log_damage, parse_index

NOW = 1_800_000_000.0
HOOK = Target("url:1", "a.example:443", url="https://a.example/hook")
HEADER, FRAME = 32, 24 + 4096
"""Bytes of a log's header, and of one frame with its page."""


def wanted(number: int) -> NewWatch:
    return NewWatch(f"wat_{number:05}", "plain", Job(f"j{number}"), NOW + 60, NOW, (HOOK,))


class Crashed:
    """A database as kill -9 leaves it: the file, its log and the index, copied while a process had them open."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "relay.db"
        self.log, self.index = folder / "relay.db-wal", folder / "relay.db-shm"

    def cut(self, size: int) -> None:
        os.truncate(self.log, size)

    async def watches(self) -> set[str]:
        async with open_sqlite(self.path) as store:
            return {view.watch.id for view in await store.watches(WatchFilter(), before=None, limit=999)}


def crash(original: Path, folder: Path) -> Crashed:
    folder.mkdir()
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(original.with_name(original.name + suffix), folder / f"relay.db{suffix}")
    return Crashed(folder)


def checkpoint(path: Path, kind: str = "PASSIVE") -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA wal_checkpoint({kind})")


@pytest.fixture
async def crashed(tmp_path: Path) -> Crashed:
    """Three watches, of which one is in the database file and two are in the log only."""
    async with open_sqlite(tmp_path / "relay.db") as store:
        await store.add_watches([wanted(1)], NOW)
        checkpoint(tmp_path / "relay.db")
        await store.add_watches([wanted(2)], NOW)
        await store.add_watches([wanted(3)], NOW)
        return crash(tmp_path / "relay.db", tmp_path / "crashed")


def committed(crashed: Crashed) -> int:
    index = parse_index(crashed.index.read_bytes())
    assert index is not None
    return index.committed


async def test_what_a_crash_leaves_opens_with_everything(crashed: Crashed) -> None:
    assert await crashed.watches() == {"wat_00001", "wat_00002", "wat_00003"}


async def test_a_commit_that_was_cut_off_beyond_the_last_whole_one_is_nothing(crashed: Crashed) -> None:
    with crashed.log.open("ab") as log:
        log.truncate(HEADER + committed(crashed) * FRAME)
        log.write(b"half a frame" * 100)

    assert len(await crashed.watches()) == 3


def cuts(frames: int) -> Iterator[int]:
    """Yield lengths at, just before and within every frame, and within the header."""
    yield from (0, 1, HEADER - 1, HEADER)
    for number in range(frames):
        start = HEADER + number * FRAME
        yield from (start + 1, start + 23, start + 24, start + FRAME - 1)


async def test_wherever_the_log_is_cut_the_start_is_refused_and_nothing_touched(
    crashed: Crashed,
) -> None:
    whole = crashed.log.read_bytes()
    for size in cuts(committed(crashed)):
        crashed.log.write_bytes(whole[:size])
        files = [file.read_bytes() for file in (crashed.path, crashed.log, crashed.index)]

        with pytest.raises(StoreUnusable, match=r"is damaged: of .* are left.*restore it from a backup"):
            await crashed.watches()

        assert [file.read_bytes() for file in (crashed.path, crashed.log, crashed.index)] == files


async def test_a_log_that_vanished_is_refused(crashed: Crashed) -> None:
    crashed.log.unlink()

    with pytest.raises(StoreUnusable, match="0 are left"):
        await crashed.watches()


@pytest.mark.parametrize("place", [HEADER + 3, HEADER + 9, HEADER + 20, HEADER + 24, HEADER + 2000, 5, 17, 30])
async def test_a_byte_of_the_log_that_flipped_is_refused(crashed: Crashed, place: int) -> None:
    with crashed.log.open("r+b") as log:
        log.seek(place)
        (byte,) = log.read(1)
        log.seek(place)
        log.write(bytes([byte ^ 1]))

    if place == 17:  # of the salts: their own checksum tells it from another generation
        assert intact_frames(BytesIO(crashed.log.read_bytes()), Index(9, 0, bytes(8))) == 0
    with pytest.raises(StoreUnusable, match="is damaged"):
        await crashed.watches()


async def test_the_way_out_is_to_go_on_without_what_is_gone(crashed: Crashed) -> None:
    crashed.cut(HEADER + (committed(crashed) - 1) * FRAME)
    with pytest.raises(StoreUnusable, match=f"or remove {crashed.index} to go on"):
        await crashed.watches()

    crashed.index.unlink()

    assert await crashed.watches() == {"wat_00001", "wat_00002"}


async def test_looking_at_it_tells_the_damage_and_leaves_the_evidence(crashed: Crashed, tmp_path: Path) -> None:
    crashed.cut(HEADER + FRAME)
    for _ in range(2):
        (problem,) = upkeep.problems(crashed.path)
        assert "is damaged: of" in problem
    with pytest.raises(StoreUnusable, match="is damaged"):
        upkeep.backup(crashed.path, tmp_path / "copy.db")
    with pytest.raises(StoreUnusable, match="is damaged"):
        upkeep.stats(crashed.path)
    with pytest.raises(StoreUnusable, match="is damaged"):
        await crashed.watches()


async def test_a_restored_backup_opens(crashed: Crashed, tmp_path: Path) -> None:
    upkeep.backup(tmp_path / "relay.db", tmp_path / "copy.db")
    crashed.cut(HEADER + FRAME)

    upkeep.restore(crashed.path, tmp_path / "copy.db", tmp_path / "aside.db")

    assert len(await crashed.watches()) == 3


@pytest.mark.parametrize("step", ["replace", "unlink of the index"])
async def test_a_restore_that_is_cut_off_leaves_a_database_that_is_refused_or_whole(
    crashed: Crashed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    upkeep.backup(tmp_path / "relay.db", tmp_path / "copy.db")
    unlink = Path.unlink

    def cut_off(path: Path, target: object = None, *, missing_ok: bool = False) -> None:
        if target is not None or path == crashed.index:
            raise KeyboardInterrupt
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace" if step == "replace" else "unlink", cut_off)
        with pytest.raises(KeyboardInterrupt):
            upkeep.restore(crashed.path, tmp_path / "copy.db", tmp_path / "aside.db")
    with pytest.raises(StoreUnusable, match="0 are left"):
        await crashed.watches()

    upkeep.restore(crashed.path, tmp_path / "copy.db", tmp_path / "aside-again.db")
    assert len(await crashed.watches()) == 3


async def test_a_log_that_is_in_the_database_altogether_may_vanish(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db") as store:
        await store.add_watches([wanted(1)], NOW)
        checkpoint(tmp_path / "relay.db")
        crashed = crash(tmp_path / "relay.db", tmp_path / "crashed")
        cut = crash(tmp_path / "relay.db", tmp_path / "cut")
    crashed.log.unlink()
    assert await crashed.watches() == {"wat_00001"}

    # What is left of it would hide newer pages of the database behind older ones.
    cut.cut(HEADER + (committed(cut) - 1) * FRAME)
    with pytest.raises(StoreUnusable, match=f"holds them all: remove {cut.log} and {cut.index}"):
        await cut.watches()
    cut.log.unlink()
    cut.index.unlink()
    assert await cut.watches() == {"wat_00001"}


async def test_what_is_left_of_a_log_beside_newer_pages_is_refused_without_a_way_to_go_on(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db") as store:
        for number in range(3):
            await store.add_watches([wanted(number)], NOW)
        with closing(sqlite3.connect(tmp_path / "relay.db")) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM watches").fetchall()  # what is committed later stays in the log
            await store.add_watches([wanted(3)], NOW)
            checkpoint(tmp_path / "relay.db")
            crashed = crash(tmp_path / "relay.db", tmp_path / "crashed")
    index = parse_index(crashed.index.read_bytes())
    assert index is not None
    assert 0 < index.backfilled < index.committed
    crashed.cut(HEADER + (index.backfilled - 1) * FRAME)

    with pytest.raises(StoreUnusable, match=r"which do not fit the database; restore it from a backup$"):
        await crashed.watches()


async def test_a_log_that_was_begun_anew_is_as_sound_as_the_first(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db") as store:
        for number in range(4):
            await store.add_watches([wanted(number)], NOW)
            checkpoint(tmp_path / "relay.db", "TRUNCATE" if number % 2 else "RESTART")
            crashed = crash(tmp_path / "relay.db", tmp_path / f"crashed-{number}")
            assert len(await crashed.watches()) == number + 1


async def test_an_index_of_an_older_generation_says_nothing_of_a_log(crashed: Crashed, tmp_path: Path) -> None:
    """As after a reset of the machine, which brings back what was last written of the index."""
    stale = crashed.index.read_bytes()
    async with open_sqlite(tmp_path / "relay.db") as store:
        await store.add_watches([wanted(number) for number in range(1, 9)], NOW)
        checkpoint(tmp_path / "relay.db", "RESTART")
        await store.add_watches([wanted(9)], NOW)
        later = crash(tmp_path / "relay.db", tmp_path / "later")
    later.index.write_bytes(stale)

    assert len(await later.watches()) == 9


@pytest.mark.parametrize("left", [0, 3, 47, 48, 99])
async def test_an_index_that_is_gone_or_cut_says_nothing(crashed: Crashed, left: int) -> None:
    os.truncate(crashed.index, left)
    assert parse_index(crashed.index.read_bytes()) is None
    assert len(await crashed.watches()) == 3


async def test_an_index_that_was_being_written_says_nothing(crashed: Crashed) -> None:
    data = bytearray(crashed.index.read_bytes())
    data[16] ^= 1  # the count in the first of two copies
    assert parse_index(bytes(data)) is None
    data[64] ^= 1  # in the second as well: their checksum tells
    assert parse_index(bytes(data)) is None


async def test_a_database_that_vanished_beside_its_log_is_not_begun_anew(crashed: Crashed) -> None:
    log = crashed.log.read_bytes()
    crashed.path.unlink()

    with pytest.raises(StoreUnusable, match="is gone and its write-ahead log is not: put it back"):
        await crashed.watches()

    assert crashed.log.read_bytes() == log


async def test_a_log_is_read_beside_the_process_that_writes_it(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db") as store:
        for number in range(60):
            await store.add_watches([wanted(number)], NOW)
            if number % 7 == 0:
                checkpoint(tmp_path / "relay.db", "TRUNCATE")
            assert log_damage(tmp_path / "relay.db") is None


def test_the_index_is_read_as_its_format_says() -> None:
    """Laid out by hand after https://sqlite.org/walformat.html, section 2.1."""
    fields = struct.pack("=IIIBBHII8s8s", 3007000, 0, 9, 1, 0, 4096, 7, 5, b"checksum", b"theSALTS")
    first = second = 0
    for one, other in struct.iter_unpack("=II", fields):
        first = (first + one + second) % 2**32
        second = (second + other + first) % 2**32
    header = fields + struct.pack("=II", first, second)

    assert parse_index(header * 2 + struct.pack("=I", 3)) == Index(committed=7, backfilled=3, salts=b"theSALTS")
