"""`python -m bench.simulation`: live through many seeds, and print those that broke a promise."""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from bench.simulation.lives import History, play
from bench.simulation.mutants import caught, mutants


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first; with --seeds 1, the one to replay")
    parser.add_argument("--mutants", action="store_true", help="find out instead which mistakes the seeds catch")
    asked = parser.parse_args()
    return _mutants(asked.seeds) if asked.mutants else _seeds(asked.first, asked.seeds)


def _mutants(seeds: int) -> int:
    escaped = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, seed in zip(mutants(), pool.map(caught, mutants(), [seeds] * len(mutants())), strict=True):
            escaped += seed is None
            print(f"{name}: {'NOT CAUGHT' if seed is None else f'caught by seed {seed}'}", flush=True)
    print(f"{len(mutants())} mistakes, {escaped} not caught within {seeds} seeds")
    return 1 if escaped else 0


def _seeds(first: int, number: int) -> int:
    began = time.perf_counter()
    histories: list[History] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for history in pool.map(play, range(first, first + number), chunksize=4):
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
    took_s = time.perf_counter() - began
    print(
        f"{len(histories)} seeds, {days:.1f} virtual days in {took_s:.0f} s, "
        f"{60 * len(histories) / took_s:.0f} a minute: "
        f"{cuts.total()} times cut off at {len(cuts)} kinds of points, "
        f"{sum(h.stops for h in histories)} orderly stops, "
        f"{sum(h.jumps for h in histories)} jumps of the clock; {deliveries} callbacks arrived, {duplicates} again, "
        f"{sum(h.messages for h in histories)} messages to chats; {sum(h.given_up for h in histories)} deliveries "
        f"given up, {sum(h.resent for h in histories)} sent again by a person; {failed} seeds broke a promise"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
