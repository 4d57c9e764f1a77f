#!/usr/bin/env python3
"""Makes train.jsonl and validation.jsonl: facts about an eating place, and the sentences that say them.

    python3 data/make_data.py [--out data] [--seed 1] [--train 2000] [--validation 160]

Standard library only. No validation row has a place's name that occurs in the training rows, and half of the validation
names hold a word that occurs nowhere in the training rows: what is learnt is to copy a name, not to know it.
"""

import argparse
import json
import os
import random

ADJECTIVES = """Amber Ancient Autumn Black Blue Brave Bright Bronze Brown Busy Calm Clever Copper Cosy Crimson Crooked
Crystal Curious Dancing Dusty Early Eastern Emerald Empty Fancy Flying Foggy Friendly Gentle Giant Gilded Glass Golden
Grand Green Grey Happy Hollow Honest Hungry Iron Ivory Jolly Kind Last Laughing Lazy Little Lonely Long Loud Lucky
Mellow Mighty Misty Modern Narrow New Noble Northern Old Orange Painted Pale Patient Pink Plain Polite Proud Quiet
Rainy Red Round Royal Rusty Salty Secret Silent Silver Simple Singing Sleepy Slow Small Smiling Smoky Snowy Southern
Spicy Stone Striped Strong Summer Sunny Sweet Swift Tall Tidy Tiny Upper Velvet Violet Wandering Warm Western White
Wild Windy Winter Wise Yellow Young""".split()
NOUNS = """Acorn Anchor Apple Apron Arch Arrow Attic Balcony Barn Barrel Basket Bay Beacon Bear Bee Bell Bench Boat
Bottle Bowl Branch Bridge Bucket Button Candle Carrot Castle Cellar Chair Clock Cloud Coach Coin Corner Cottage
Courtyard Crane Crown Cup Daisy Deer Dolphin Donkey Door Dove Dragon Eagle Elm Falcon Feather Fern Ferry Fiddle Field
Flute Forge Fork Fountain Fox Garden Garlic Gate Ginger Goat Goose Grape Hare Harp Hat Hedge Hen Heron Hill Honey Horn
Horse House Jug Kettle Key Kitchen Kite Ladder Ladle Lake Lamb Lamp Lantern Leaf Lemon Lily Lion Lodge Lotus Maple
Mill Mint Mirror Moon Mountain Mule Oak Olive Orchard Oven Owl Pantry Parrot Peach Pear Pepper Pigeon Pine Plate Plum
Pony Poppy Rabbit River Robin Roof Rose Saddle Sail Salmon Shell Ship Spoon Stable Star Stove Sun Swallow Swan Table
Teapot Terrace Thistle Tiger Tower Tree Trout Tulip Turtle Valley Vine Violin Whale Wheel Window Wolf""".split()
NEW_ADJECTIVES = """Frosty Gallant Hidden Humble Marble Merry Noisy Purple Scarlet Thirsty Wooden Mossy Cheerful Lofty
Rosy""".split()
NEW_NOUNS = """Badger Cherry Chimney Compass Hammer Island Otter Pumpkin Raven Saffron Walnut Willow Blossom Cabin
Drum""".split()

FOODS = "Italian French Indian Chinese Japanese Thai Greek Mexican Turkish Spanish English Korean".split()
KINDS = ["restaurant", "café", "pub", "bistro", "diner", "tavern"]
PRICES = ["low", "fair", "moderate", "high"]
AREAS = {
    "riverside": "by the riverside",
    "city centre": "in the city centre",
    "old town": "in the old town",
    "harbour": "at the harbour",
    "market square": "on the market square",
    "station": "at the station",
    "university": "near the university",
    "town park": "in the town park",
}
RATINGS = ["one star", "two stars", "three stars", "four stars", "five stars"]


def with_article(text):
    return ("an " if text[0] in "AEIOUaeiou" else "a ") + text


def make_names(rng, count, adjectives, nouns, taken):
    """Names of two words, some with an article, none of them twice."""
    chosen = []
    while len(chosen) < count:
        bare = rng.choice(adjectives) + " " + rng.choice(nouns)
        if bare not in taken:
            taken.add(bare)
            chosen.append(("The " if rng.random() < 0.3 else "") + bare)
    return chosen


def make_slots(rng, own_name, neighbour):
    """The slots in their order; the name, the kind and the food are always there, the others mostly."""
    slots = {"name": own_name, "type": rng.choice(KINDS), "food": rng.choice(FOODS)}
    if rng.random() < 0.7:
        slots["price"] = rng.choice(PRICES)
    if rng.random() < 0.8:
        slots["area"] = rng.choice(sorted(AREAS))
    if rng.random() < 0.4:
        slots["near"] = neighbour
    if rng.random() < 0.6:
        slots["rating"] = rng.choice(RATINGS)
    return slots


def sentence(rng, slots):
    """One of two ways to say it."""
    where = " " + AREAS[slots["area"]] if "area" in slots else ""
    close = f", close to {slots['near']}" if "near" in slots else ""
    if rng.random() < 0.7:
        text = f"{slots['name']} is {with_article(slots['food'])} {slots['type']}{where}{close}."
    else:
        text = f"{slots['name']} is {with_article(slots['type'])} that serves {slots['food']} food{where}{close}."
    if "price" in slots and "rating" in slots:
        text += f" Its prices are {slots['price']} and it has {slots['rating']}."
    elif "price" in slots:
        text += f" Its prices are {slots['price']}."
    elif "rating" in slots:
        text += f" It has {slots['rating']}."
    return text


def make_rows(rng, own_names):
    rows = []
    for own_name in own_names:
        neighbour = own_name
        while neighbour == own_name:
            neighbour = rng.choice(own_names)
        slots = make_slots(rng, own_name, neighbour)
        context = " | ".join(f"{key}: {value}" for key, value in slots.items()) + " =>"
        rows.append({"context": context, "target": " " + sentence(rng, slots)})
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
    taken = set()
    train = make_names(rng, args.train, ADJECTIVES, NOUNS, taken)
    known, new = args.validation // 2, args.validation - args.validation // 2
    held = make_names(rng, known, ADJECTIVES, NOUNS, taken)
    held += make_names(rng, new // 2, NEW_ADJECTIVES, NOUNS, taken)
    held += make_names(rng, new - new // 2, ADJECTIVES, NEW_NOUNS, taken)
    rng.shuffle(held)
    write(os.path.join(args.out, "train.jsonl"), make_rows(rng, train))
    write(os.path.join(args.out, "validation.jsonl"), make_rows(rng, held))


if __name__ == "__main__":
    main()
