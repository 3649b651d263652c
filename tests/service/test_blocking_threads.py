"""Calls that block run in threads of which few are let in, and none is waited for at the end."""

import asyncio
import subprocess
import sys
import threading

import pytest

from relay.transport.threads import Threads


async def test_what_a_call_returns_or_raises_comes_back() -> None:
    threads = Threads(1, "test")
    assert await threads.run(lambda: 7) == 7
    with pytest.raises(OSError, match="no such host"):
        await threads.run(_fail)
    assert await threads.run(lambda: 8) == 8


def _fail() -> None:
    raise OSError("no such host")


async def test_a_call_that_hangs_keeps_its_place_after_nobody_waits_for_it() -> None:
    threads, release = Threads(1, "test"), threading.Event()
    hanging = asyncio.ensure_future(threads.run(release.wait))
    await asyncio.sleep(0)
    hanging.cancel()
    next_one = asyncio.ensure_future(threads.run(lambda: "served"))
    done, _ = await asyncio.wait([next_one], timeout=0.05)
    assert not done

    release.set()
    assert await asyncio.wait_for(next_one, 10) == "served"


async def test_a_machine_without_threads_is_a_fault_of_its_own_and_takes_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads = Threads(1, "test")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(BlockingIOError):
            await threads.run(lambda: 7)
    assert await threads.run(lambda: 7) == 7


def test_the_process_ends_while_a_call_hangs() -> None:
    program = (
        "import asyncio, time\nfrom relay.transport.threads import Threads\n"
        "async def main():\n    asyncio.ensure_future(Threads(1, 'x').run(lambda: time.sleep(300)))\n"
        "    await asyncio.sleep(0.01)\n"
        "asyncio.run(main())\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
