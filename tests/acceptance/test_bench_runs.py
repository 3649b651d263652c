"""The benches, in short: that they run and say what they found; what they find is no test's business."""

import asyncio
import json
import signal
import sys
from pathlib import Path

from bench.__main__ import MEASURES


async def test_every_measurement_runs_and_ends_up_in_both_reports(tmp_path: Path) -> None:
    """Each gives at least one table, whose title is a heading of RESULTS.md and whose figures are in results.json."""
    await asyncio.gather(*(_measure(name, tmp_path) for name in MEASURES))


async def _measure(name: str, parent: Path) -> None:
    folder = parent / name
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", name, "--quick", "--results", str(folder),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(100):
            printed, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)  # upon which it stops its own processes
            await process.wait()
    assert process.returncode == 0, errors.decode()
    sections = json.loads((folder / "results.json").read_text())["sections"]
    assert sections
    for section in sections:
        assert section["rows"], section["title"]
        assert section["data"], section["title"]
        assert f"\n{section['title']}\n" in printed.decode()
        assert f"\n## {section['title']}\n" in (folder / "RESULTS.md").read_text()
