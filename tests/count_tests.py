"""Add up test results: count_tests.py --passed N --failed N LOG.json...

LOG.json is what `meson test` leaves in meson-logs. A cmocka program counts with each of its tests, any other program
as one test.
Prints the last line of scripts/test.sh; exits 1 when something failed or nothing passed.
"""

import argparse
import json
import re
import sys

PASSED, FAILED, SKIPPED = range(3)
CMOCKA = [re.compile(rf"\[  {word}\s*\] (\d+) test\(s\)") for word in ("PASSED", "FAILED", "SKIPPED")]


def count(entry):
    """[passed, failed, skipped] of one program."""
    output = entry.get("stdout", "") + "\n" + entry.get("stderr", "")
    sums = [sum(map(int, pattern.findall(output))) for pattern in CMOCKA]
    result = entry["result"]
    if result == "SKIP":
        return [0, 0, sum(sums) or 1]
    if result not in ("OK", "EXPECTEDFAIL"):
        sums[FAILED] = sums[FAILED] or 1  # died before or after its tests
    elif not any(sums):
        sums[PASSED] = 1
    return sums


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--passed", type=int, default=0)
    parser.add_argument("--failed", type=int, default=0)
    parser.add_argument("logs", nargs="*")
    options = parser.parse_args()
    totals = [options.passed, options.failed, 0]
    for log in options.logs:
        with open(log, encoding="utf-8") as stream:
            for line in stream:
                totals = [a + b for a, b in zip(totals, count(json.loads(line)))]
    print(f"{totals[PASSED]} passed, {totals[FAILED]} failed, {totals[SKIPPED]} skipped")
    sys.exit(totals[FAILED] > 0 or totals[PASSED] == 0)


if __name__ == "__main__":
    main()
