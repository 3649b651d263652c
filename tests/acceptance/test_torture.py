"""The plug is pulled: nothing that was accepted is lost, and nothing is told twice as two things.

This is the short form of `make torture`: the daemon is killed at each of the
chosen moments, between providers and receivers that misbehave, and an auditor
that shares no code with relay compares what all of them saw.
"""

import sys
from pathlib import Path

from bench.torture.__main__ import figures
from bench.torture.audit import audit
from bench.torture.campaign import Campaign, Plan
from bench.torture.records import Aim
from bench.torture.settings import SECRET


async def test_nothing_is_lost_or_told_as_two_things_when_the_plug_is_pulled_at_any_moment(tmp_path: Path) -> None:
    plan = Plan(seed=7, jobs=150, kills=11, seconds=20.0)

    report = audit(await Campaign(plan, tmp_path, print).run(), SECRET)

    sys.stdout.write("\n".join(figures(plan, report)) + "\n")
    assert not report.faults
    assert report.accepted == plan.jobs
    assert report.kills[Aim.MIGRATION]
    assert report.kills.total() >= 5
    assert report.messages
