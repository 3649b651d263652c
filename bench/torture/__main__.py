"""`python -m bench.torture`: run, audit, and print the figures; exits with 1 where a promise was broken."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bench.torture.audit import Report, audit
from bench.torture.campaign import Campaign, Plan
from bench.torture.records import Aim
from bench.torture.settings import SECRET

_EXAMPLES = 5


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.torture", description="Kill relay, and audit what is left.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=250)
    parser.add_argument("--seconds", type=float, default=480.0, help="no kill after this time")
    arguments = parser.parse_args()
    plan = Plan(arguments.seed, arguments.jobs, arguments.kills, arguments.seconds)
    report = torture(plan)
    print("\n".join(figures(plan, report)))
    return 1 if report.faults else 0


def torture(plan: Plan) -> Report:
    """Run in a folder that is kept where something was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="relay-torture-"))
    began = time.monotonic()
    campaign = Campaign(plan, folder, lambda line: print(line, file=sys.stderr))
    report = audit(asyncio.run(campaign.run()), SECRET)
    print(f"{time.monotonic() - began:.0f} s, in {folder}", file=sys.stderr)
    return report


def figures(plan: Plan, report: Report) -> list[str]:
    """Return the figures, line by line."""
    seen = f"{report.accepted} jobs, {report.polls} polls, {report.arrivals} callbacks"
    lost, again, retold = len(report.faults.get("lost", [])), report.duplicates.total(), report.retold.total()
    lines = [
        f"seed {plan.seed}: {seen}, {report.messages} messages to chats, {report.kills.total()} kills",
        f"lost {lost}, callbacks that came again {again}, jobs told to a chat again {retold}",
        "kills / callbacks again / told again / ends asked for twice:",
    ]
    lines += [
        f"  {aim}: {report.kills[aim]} / {report.duplicates[aim]} / {report.retold[aim]} / {report.repeated_ends[aim]}"
        for aim in Aim
        if report.kills[aim]
    ]
    lines += [f"most polls in a window of {name}'s limit: {most}" for name, most in report.busiest.items()]
    for fault, found in report.faults.items():
        lines.append(f"BROKEN: {fault}: {len(found)}, as {'; '.join(found[:_EXAMPLES])}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
