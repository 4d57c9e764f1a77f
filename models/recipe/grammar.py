"""A small template language: the words of a document are drawn from lists, and what is marked is remembered.

`{animal}` draws a word, `{animal#1}` draws one and uses it again wherever the same mark stands in the document,
`{animal!}` writes it with a capital. The article a becomes an where it must. A list of
templates in a template's place means one of them.
"""

import re

from words import (
    ANIMALS,
    BOYS,
    CITIES,
    COLOURS,
    COUNTRIES,
    DAYS,
    DRINKS,
    EATERIES,
    FOODS,
    FRUITS,
    GIRLS,
    GROCERIES,
    HOBBIES,
    JOBS,
    MATERIALS,
    MONTHS,
    MOODS,
    NATIONS,
    NUMBERS,
    ORDINALS,
    PLACES,
    QUALITIES,
    ROOMS,
    SEASONS,
    SHOPS,
    SIGN_ADJECTIVES,
    SIGN_NOUNS,
    SIZES,
    SURNAMES,
    THINGS,
    TREES,
    WEATHERS,
)

LISTS = {
    "animal": ANIMALS,
    "colour": COLOURS,
    "size": SIZES,
    "mood": MOODS,
    "quality": QUALITIES,
    "food": FOODS,
    "fruit": FRUITS,
    "grocery": GROCERIES,
    "drink": DRINKS,
    "thing": THINGS,
    "room": ROOMS,
    "place": PLACES,
    "job": JOBS,
    "hobby": HOBBIES,
    "day": DAYS,
    "month": MONTHS,
    "season": SEASONS,
    "weather": WEATHERS,
    "shop": SHOPS,
    "eatery": EATERIES,
    "tree": TREES,
    "material": MATERIALS,
    "number": NUMBERS,
    "ordinal": ORDINALS,
    "nation": NATIONS,
    "surname": SURNAMES,
    "knowncity": CITIES,
    "country": COUNTRIES,
}
SLOT = re.compile(r"\{(\w+)(?:#(\w+))?(!)?\}")
ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")
ONSETS = "b br c ch d f g gr h j k l m n p qu r s sh st t tr v w z b d f g k l m n p r s t v".split()
NUCLEI = "a e i o u a e i o a e i o ea oo".split()
CODAS = ["", "", "", "", "", "l", "n", "r", "s", "m", "nd", "th", "ck"]


def invent(rng, syllables=None):
    """A word that nobody has seen: it can only be repeated by looking back."""
    count = syllables or rng.choice([2, 2, 2, 3])
    return "".join(rng.choice(ONSETS) + rng.choice(NUCLEI) + rng.choice(CODAS) for _ in range(count))


class Scene:
    """One document's draws: the words that are marked stay the same until the document ends."""

    def __init__(self, rng, rare_words):
        self.rng = rng
        self.rare_words = rare_words
        self.bound = {}

    def rare(self):
        return self.rng.choice(self.rare_words) if self.rng.random() < 0.6 else invent(self.rng)

    def draw(self, kind):
        rng = self.rng
        if kind == "girl":
            return rng.choice(GIRLS) if rng.random() < 0.8 else invent(rng).capitalize()
        if kind == "boy":
            return rng.choice(BOYS) if rng.random() < 0.8 else invent(rng).capitalize()
        if kind == "person":
            return self.draw(rng.choice(["girl", "boy"]))
        if kind == "fullname":
            last = rng.choice(SURNAMES) if rng.random() < 0.6 else invent(rng).capitalize()
            return self.draw("person") + " " + last
        if kind == "city":
            return rng.choice(CITIES) if rng.random() < 0.5 else invent(rng).capitalize()
        if kind == "town":
            return invent(rng).capitalize()
        if kind == "sign":
            first = rng.choice(SIGN_ADJECTIVES) if rng.random() < 0.5 else self.rare().capitalize()
            last = rng.choice(SIGN_NOUNS) if rng.random() < 0.5 else self.rare().capitalize()
            return ("The " if rng.random() < 0.4 else "") + first + " " + last
        if kind == "rare":
            return self.rare()
        if kind == "small":
            return str(rng.randint(2, 30))
        if kind == "count":
            return rng.choice(NUMBERS[1:12])
        if kind == "year":
            return str(rng.randint(1700, 2020))
        return rng.choice(LISTS[kind])

    def fill(self, template):
        if isinstance(template, (list, tuple)):
            template = self.rng.choice(template)
        return ARTICLE.sub(r"\1n ", SLOT.sub(self._slot, template))

    def _slot(self, match):
        kind, mark, capital = match.groups()
        if kind in self.bound:
            word = self.bound[kind]
        elif mark:
            key = (kind, mark)
            if key not in self.bound:
                self.bound[key] = self._fresh(kind)
            word = self.bound[key]
        else:
            word = self.draw(kind)
        return word[0].upper() + word[1:] if capital else word

    def _fresh(self, kind):
        """Two marks of one kind are two different words."""
        taken = {value for key, value in self.bound.items() if isinstance(key, tuple) and key[0] == kind}
        for _ in range(20):
            word = self.draw(kind)
            if word not in taken:
                return word
        return word
