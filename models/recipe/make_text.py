#!/usr/bin/env python3
"""Writes what models/tiny learns from: make_text.py --out DIR

DIR gets train.txt, held-out.txt and NOTICE. Needs Python alone and the files of Debian's wordnet-base.
"""

import argparse
import os
import random
import re

import synthetic
import wordnet

BETWEEN = "</s><s>"  # the tokenizer makes these ids: a document ends, another begins
HELD_OUT = 100  # one document in so many is never trained on


def options():
    parser = argparse.ArgumentParser(description="Write the text that the bundled model learns from.")
    parser.add_argument("--out", required=True, help="directory to write to")
    parser.add_argument("--wordnet", default="/usr/share/wordnet", help="directory with data.noun and the others")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=3200 * 2048, help="about so many and a sixth more are written")
    return parser.parse_args()


def make_documents(args):
    """Glosses, each at most once, and as much of our own text as is still wanted, shuffled together."""
    rng = random.Random(args.seed)
    entries = list(wordnet.read(args.wordnet))
    rare = wordnet.rare_words(entries)
    glosses = [wordnet.document(rng, entry) for entry in entries]
    rng.shuffle(glosses)
    glosses = glosses[: args.tokens // 80]  # about a third of the tokens
    ours, characters = [], 0
    target = args.tokens * 3.6 - sum(map(len, glosses))
    while characters < target:
        ours.append(synthetic.document(rng, rare))
        characters += len(ours[-1])
    documents = glosses + ours
    rng.shuffle(documents)
    print(f"{len(glosses)} glosses, {len(ours)} documents of our own")
    return documents


def write(path, documents):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(BETWEEN.join(documents))


def notice(directory):
    """WordNet's licence wants its notice on what is made from it: the head of every data file, line numbers off."""
    with open(os.path.join(directory, "data.noun"), encoding="latin-1") as lines:
        head = [re.sub(r"^ *\d+ ?", "", line).rstrip() for line in lines if line.startswith("  ")]
    return (
        "The weights and the tokenizer in this directory were made from, among others, the definitions and\n"
        "examples of WordNet 3.0, changed in their wording around them. WordNet's notice:\n\n"
        + "\n".join(head).strip() + "\n"
    )


def main():
    args = options()
    os.makedirs(args.out, exist_ok=True)
    documents = make_documents(args)
    write(os.path.join(args.out, "train.txt"), [d for i, d in enumerate(documents) if i % HELD_OUT])
    write(os.path.join(args.out, "held-out.txt"), documents[::HELD_OUT])
    with open(os.path.join(args.out, "NOTICE"), "w", encoding="utf-8") as file:
        file.write(notice(args.wordnet))


if __name__ == "__main__":
    main()
