"""Short definitions from WordNet's data files (Debian package wordnet-base), with a few words to say them."""

import os
import re

PARTS = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}
UNWANTED = re.compile(
    r"slur|offensive|obscene|vulgar|sex|disparag|insult|prostitut|genital|rape|nazi|naked|lewd|suicid|"
    r"murder|tortur|drug|penis|vagina|copulat|masturb|negro|derogat|contempt",
    re.I,
)


def read(directory):
    """(lemma, part of speech, definition, examples), in the files' order."""
    for suffix, part in PARTS.items():
        with open(os.path.join(directory, "data." + suffix), encoding="latin-1") as lines:
            for line in lines:
                if line.startswith("  ") or "|" not in line or UNWANTED.search(line):
                    continue
                fields, gloss = line.split("|", 1)
                lemma = re.sub(r"\(\w+\)$", "", fields.split(" ")[4]).replace("_", " ")
                definition, *examples = gloss.strip().split('; "')
                examples = [example.strip().strip('"') for example in examples]
                if 3 <= len(definition) <= 160 and definition.isascii() and lemma.isascii():
                    yield lemma, part, definition.strip().rstrip(";"), [e for e in examples if e.isascii()]


def rare_words(entries):
    """Single lower-case words of middling length: names and passwords for the synthetic text."""
    return sorted({lemma for lemma, _, _, _ in entries if re.fullmatch(r"[a-z]{4,9}", lemma)})


def document(rng, entry):
    lemma, part, definition, examples = entry
    shape = rng.randrange(5)
    if shape == 0:
        text = f"{lemma} ({part}): {definition}."
    elif shape == 1:
        text = f"The {part} {lemma} means: {definition}."
    elif shape == 2:
        text = f"What does {lemma} mean? It means {definition}."
    elif shape == 3:
        text = f"{lemma}: {definition}."
    else:
        text = f"Definition of {lemma}, {part}: {definition}."
    if examples and rng.random() < 0.7:
        example = rng.choice(examples)
        text += f" Example: {example}" + ("" if example[-1:] in ".?!" else ".")
    return text
