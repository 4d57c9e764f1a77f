#!/usr/bin/env python3
"""Makes train.jsonl and validation.jsonl: facts about an eating place, and the sentence that says them.

    python3 data/make_data.py [--out data] [--seed 1] [--train 2000] [--validation 160]

Standard library only. The place of a validation row occurs in no training row; its words occur there in other company.
"""

import argparse
import json
import os
import random

OWNERS = """Adam Alice Anna Bella Ben Carla Clara David Dora Ella Emma Eric Eva Felix Frank Grace Hanna Helen Henry Hugo
Ivan Ivy Jack Jane Jonas Julia Karl Kate Laura Leo Lily Louis Luke Mark Martin Max Maya Mia Nick Nina Noah Nora Olga
Oliver Oscar Paul Paula Peter Robert Rosa Ruth Sam Sara Simon Tina Tom Vera Victor Walter Zoe""".split()
SIGNS = "Bar Bell Garden Mill Oak Star Tower".split()

FOODS = "Italian French Indian Chinese Japanese Thai Greek Mexican Turkish Spanish English Polish".split()
PRICES = ["cheap", "fair", "high"]
AREAS = {
    "river": "by the river",
    "old town": "in the old town",
    "harbour": "at the harbour",
    "market": "on the market",
    "station": "near the station",
    "park": "next to the park",
}


def split_names(rng, held_out):
    """All names, apart: those that only the validation rows have, and the others."""
    names = [f"{owner}'s {sign}" for owner in OWNERS for sign in SIGNS]
    rng.shuffle(names)
    return names[:held_out], names[held_out:]


def make_slots(rng, name):
    """The slots in their order; the name and the food are always there, the others mostly."""
    slots = {"name": name, "food": rng.choice(FOODS)}
    if rng.random() < 0.7:
        slots["price"] = rng.choice(PRICES)
    if rng.random() < 0.8:
        slots["area"] = rng.choice(sorted(AREAS))
    return slots


def sentence(slots):
    text = f"{slots['name']} serves {slots['food']} food"
    if "area" in slots:
        text += " " + AREAS[slots["area"]]
    if "price" in slots:
        text += f", and the price is {slots['price']}"
    return text + "."


def make_rows(rng, names, count):
    """Rows that go through the names again and again, every time with other facts."""
    rows = []
    while len(rows) < count:
        slots = make_slots(rng, names[len(rows) % len(names)])
        context = " | ".join(f"{key}: {value}" for key, value in slots.items()) + " =>"
        row = {"context": context, "target": " " + sentence(slots)}
        if row not in rows:
            rows.append(row)
    return rows


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description="Make the slots-to-a-sentence data.")
    parser.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--validation", type=int, default=160)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    held, known = split_names(rng, args.validation)
    train = make_rows(rng, known, args.train)
    rng.shuffle(train)
    write(os.path.join(args.out, "train.jsonl"), train)
    write(os.path.join(args.out, "validation.jsonl"), make_rows(rng, held, args.validation))


if __name__ == "__main__":
    main()
