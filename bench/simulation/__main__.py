"""`python -m bench.simulation`: live through many seeds, and print those that broke a promise."""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from bench.simulation.lives import History, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first; with --seeds 1, the one to replay")
    asked = parser.parse_args()
    began = time.perf_counter()
    histories: list[History] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for history in pool.map(play, range(asked.first, asked.first + asked.seeds), chunksize=4):
            histories.append(history)
            if history.violations:
                print(f"seed {history.seed}, cut off {', '.join(history.pulled) or 'never'}:")
                for violation in history.violations[:3]:
                    print(f"  {violation}")
                print(f"  replay: make simulate SEEDS=1 FIRST={history.seed}")
    failed = sum(bool(history.violations) for history in histories)
    cuts = Counter(where for history in histories for where in history.pulled)
    deliveries = sum(history.deliveries for history in histories)
    duplicates = sum(history.duplicates for history in histories)
    days = sum(history.lasted_s for history in histories) / 86400
    print(
        f"{len(histories)} seeds, {days:.1f} virtual days in {time.perf_counter() - began:.0f} s: "
        f"{cuts.total()} times cut off at {len(cuts)} kinds of points, {deliveries} deliveries, "
        f"{duplicates} duplicates, {failed} seeds broke a promise"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
