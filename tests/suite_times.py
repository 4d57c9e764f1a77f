#!/usr/bin/env python3
"""Where a run of the suite spent its time: suite_times.py LOG.json...

    tests/suite_times.py build/meson-logs/testlog-usual.json build-asan/meson-logs/testlog.json

LOG.json is what `meson test` leaves in meson-logs. A row for each suite and its longest programs, in seconds of their
running, of which two cores have two at a time; then from begin to end, and how long fewer than two ran, which a better
order could spare. What PoCL had compiled before such a run, it does not show: that is measure_test.py's.
"""

import argparse
import collections
import json
import pathlib

LONGEST = 4


def entries(log):
    with open(log, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def print_suites(tests):
    suites = collections.defaultdict(list)
    for test in tests:
        suite, _, name = test["name"].partition(" / ")
        suites[suite.rpartition(":")[2]].append((test["duration"], name))
    sums = {suite: sum(time for time, _ in times) for suite, times in suites.items()}
    for suite in sorted(sums, key=sums.get, reverse=True):
        longest = [f"{name} {time:.0f}" for time, name in sorted(suites[suite], reverse=True)[:LONGEST] if time >= 1]
        print(f"| {suite} | {sums[suite]:.0f} | {', '.join(longest)} |")


def alone(tests):
    """Seconds in which fewer than two ran."""
    edges = sorted((at, step) for test in tests
                   for at, step in ((test["starttime"], 1), (test["starttime"] + test["duration"], -1)))
    running, seconds = 0, 0.0
    for (at, step), (after, _) in zip(edges, edges[1:]):
        running += step
        seconds += after - at if running < 2 else 0.0
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", nargs="+", metavar="LOG.json")
    for log in parser.parse_args().logs:
        tests = entries(log)
        whole = max(t["starttime"] + t["duration"] for t in tests) - min(t["starttime"] for t in tests)
        print(f"{pathlib.Path(log)}\n\n| suite | seconds | its longest |\n| --- | --- | --- |")
        print_suites(tests)
        print(f"\n{whole:.0f} s from begin to end, in {alone(tests):.0f} of them fewer than two at once\n")


if __name__ == "__main__":
    main()
