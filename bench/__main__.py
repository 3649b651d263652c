"""`python -m bench`: measure everything, or what is named, and print tables; in files, too, where they are wanted."""

import argparse
import asyncio
import pstats
import sys
import time
from pathlib import Path

from bench.measures import adds, callbacks, latency, least, overload, polls, rivals, scaling
from bench.measures.options import Options
from bench.report import Section, table, tell, write

MEASURES = {
    "polls": polls.measure,
    "callbacks": callbacks.measure,
    "adds": adds.measure,
    "batches": adds.measure_batches,
    "least": least.measure,
    "latency": latency.measure,
    "scaling": scaling.measure,
    "overload": overload.measure,
    "rivals": rivals.measure,
}
_QUICK = Options(rounds=1, share=0.02)
_SHOWN = 40


def main() -> int:
    """Parse the arguments, measure, and report."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="How fast relay is, each figure beside a baseline."
    )
    parser.add_argument("what", nargs="*", choices=[*MEASURES, []], help="all of them, unless some are named")
    parser.add_argument("--rounds", type=int, default=5, help="how often both sides of a comparison take turns")
    parser.add_argument("--quick", action="store_true", help="a round of little work: shows that it runs, no more")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="write and print where our side spends its time")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="write results.json and RESULTS.md there")
    arguments = parser.parse_args()
    options = _QUICK if arguments.quick else Options(rounds=arguments.rounds, profile=arguments.profile)
    sections: list[Section] = []
    for name in arguments.what or MEASURES:
        began = time.monotonic()
        found = asyncio.run(MEASURES[name](options))
        tell(f"{name}: {time.monotonic() - began:.0f} s")
        print("\n".join(map(table, found)), flush=True)
        sections += found
    if arguments.results:
        write(arguments.results, sections, "python -m bench " + " ".join(sys.argv[1:]))
    if arguments.profile:
        pstats.Stats(str(arguments.profile)).sort_stats("tottime").print_stats(_SHOWN)
    return 0


if __name__ == "__main__":
    sys.exit(main())
