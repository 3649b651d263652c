"""`python -m bench.soak`: churn, audit, and print what grew.

Exits with 1 where something did, or a promise was broken.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from bench.report import table, tell
from bench.soak.churn import Churn
from bench.soak.samples import courses, section
from bench.torture.audit import audit
from bench.torture.settings import SECRET

_EXAMPLES = 5


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Let relay work, and see what grows.")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="relay-soak-"))
    tell(f"in {folder}")
    seen = asyncio.run(Churn(arguments.seed, arguments.minutes * 60, folder, tell).run())
    report = audit(seen.records, SECRET)
    print(table(section(seen.samples)))
    print(
        f"\n{report.accepted} jobs, {report.polls} polls, {report.arrivals} callbacks, {seen.reloads} reloads, "
        f"lost {len(report.faults.get('lost', []))}"
    )
    for fault, found in report.faults.items():
        print(f"BROKEN: {fault}: {len(found)}, as {'; '.join(found[:_EXAMPLES])}")
    grown = [course for course in courses(seen.samples) if not course.flat]
    return 1 if report.faults or grown else 0


if __name__ == "__main__":
    sys.exit(main())
