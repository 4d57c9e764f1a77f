#!/usr/bin/env python3
"""How many generated sentences hold every value of their row: slot_accuracy.py PAIRS RESULTS [OTHER] [--show N]

PAIRS    JSONL with "context": "name: Lucky Crown | food: English =>"
RESULTS  what `clora generate --jsonl PAIRS --json` printed: a line with "text" for each row
OTHER    the same from another model, whose texts are compared

Prints how many texts hold all values of their row, and with OTHER how many are the same there. Exits 1 when one of the
two is below --least percent.
"""

import argparse
import json
import pathlib
import sys


def lines(path):
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream if line.strip()]


def values(context):
    """The slots' values: "name: Lucky Crown | food: English =>" has two."""
    return [slot.split(":", 1)[1].strip() for slot in context.strip().removesuffix("=>").split("|")]


def main():
    parser = argparse.ArgumentParser(description="Share of generated sentences that hold every value of their row.")
    parser.add_argument("pairs")
    parser.add_argument("results")
    parser.add_argument("other", nargs="?")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print the first N rows that lack a value")
    parser.add_argument("--least", type=float, default=0, metavar="PERCENT", help="exit 1 below it")
    options = parser.parse_args()
    rows = lines(options.pairs)
    texts = [result["text"] for result in lines(options.results)]
    if not texts or len(texts) != len(rows):
        sys.exit(f"{options.results}: {len(texts)} results for the {len(rows)} rows of {options.pairs}")
    missing = [[v for v in values(row["context"]) if v not in text] for row, text in zip(rows, texts)]
    whole = sum(not m for m in missing)
    share = 100 * whole / len(rows)
    print(f"{whole} of {len(rows)} texts hold every value of their row ({share:.0f} %)")
    for row, text, lacks in [t for t in zip(rows, texts, missing) if t[2]][: options.show]:
        print(f"  lacks {', '.join(lacks)}:{text}")
    if options.other:
        same = sum(a == b["text"] for a, b in zip(texts, lines(options.other)))
        share = min(share, 100 * same / len(rows))
        print(f"{same} of {len(rows)} texts are the same from the {pathlib.Path(options.other).stem} model")
    sys.exit(share < options.least)


main()
