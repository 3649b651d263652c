"""Constant churn: the short form of `make soak`, which also tells what grows; seconds are too few for that."""

from pathlib import Path

from bench.soak.churn import Churn
from bench.soak.samples import courses
from bench.torture.audit import audit
from bench.torture.settings import SECRET


async def test_churn_and_reloads_lose_nothing_and_everything_that_could_grow_is_seen(tmp_path: Path) -> None:
    seen = await Churn(3, 7.0, tmp_path, print, hangs=False).run()

    report = audit(seen.records, SECRET)
    assert not report.faults
    assert report.accepted > 50
    assert seen.reloads
    assert all(course.last for course in courses(seen.samples))
