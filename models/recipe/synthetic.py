"""Our own English: short stories, descriptions, questions and answers, records and what they say, counting.

Everything is drawn from templates written for this project. Many documents name things that were invented on the spot
and name them again later, so that a model trained on them learns to look back and to copy.
"""

from grammar import LISTS, Scene
from stories import describe, letter, story, talk
from words import ATTRIBUTES, NUMBERS


def joined(words):
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def attributes(scene, count):
    """Some keys with values; a value is now and then a word that cannot be guessed."""
    keys = scene.rng.sample(sorted(ATTRIBUTES), count)
    return [(key, scene.rare() if scene.rng.random() < 0.25 else scene.rng.choice(ATTRIBUTES[key])) for key in keys]


def record(scene):
    """A record in one of many shapes and what it says in words."""
    rng = scene.rng
    owner = scene.draw(rng.choice(["person", "fullname", "sign", "town"]))
    pairs = attributes(scene, rng.randint(2, 5))
    label = rng.choice(["Name", "Owner", "Subject", "Title", "Entry", "Member"])
    shape = rng.randrange(6)
    if shape == 0:
        head = f"{label}: {owner}\n" + "".join(f"{key.capitalize()}: {value}\n" for key, value in pairs)
    elif shape == 1:
        head = f"{owner} ({', '.join(f'{key} {value}' for key, value in pairs)}).\n"
    elif shape == 2:
        head = f"{label} = {owner}; " + "; ".join(f"{key} = {value}" for key, value in pairs) + ".\n"
    elif shape == 3:
        head = f"{owner}\n" + "".join(f"- {key}: {value}\n" for key, value in pairs)
    elif shape == 4:
        head = (
            ",".join([label.lower()] + [key for key, _ in pairs])
            + "\n"
            + ",".join([owner] + [value for _, value in pairs])
            + "\n"
        )
    else:
        head = f"[{owner}] " + " / ".join(f"{key}: {value}" for key, value in pairs) + "\n"
    said = pairs[:]
    if rng.random() < 0.4:
        rng.shuffle(said)
    if rng.random() < 0.2:
        said = said[:-1] or said
    way = rng.randrange(5)
    if way == 0:
        body = " ".join(f"The {key} of {owner} is {value}." for key, value in said)
    elif way == 1:
        body = f"This is about {owner}. " + " ".join(f"The {key} is {value}." for key, value in said)
    elif way == 2:
        body = "\n".join(f"What is the {key} of {owner}? {value[0].upper() + value[1:]}." for key, value in said)
    elif way == 3:
        body = f"We know of {owner} that " + joined([f"the {key} is {value}" for key, value in said]) + "."
    else:
        key, value = rng.choice(pairs)
        body = f"Question: which {key} has {owner}? Answer: {value}."
    return head + body


def repeat(scene):
    """Something that cannot be guessed is said, and then said again."""
    return scene.fill(
        [
            (
                "The password is {rare#1}. Do not forget it: {rare#1}. {person#1} forgot the password and asked for it."
                " The password is {rare#1}."
            ),
            (
                "{person#1} wrote two words on the wall, {rare#1} and {rare#2}. The first word was {rare#1} and the"
                " second word was {rare#2}."
            ),
            (
                "Say {rare#1}. {rare#1!}. Say {rare#2}. {rare#2!}. Say {rare#3}. {rare#3!}. Now say all three:"
                " {rare#1}, {rare#2}, {rare#3}."
            ),
            (
                "Three friends, {person#1}, {person#2} and {person#3}, met in {town#1}. {person#1} came by train,"
                " {person#2} came by bus and {person#3} walked. In {town#1} it was {weather#1}, and the {weather#1} day"
                " pleased {person#2} most of all."
            ),
            (
                'On the sign stood {sign#1}. "{sign#1}," read {person#1} aloud. {person#2} had never heard of {sign#1}.'
                ' The next sign said {sign#2}. "{sign#2}," read {person#1}.'
            ),
            (
                "In {town#1} they say {rare#1} for {thing#1}. In {town#2} they say {rare#2} for {thing#1}. So a"
                " {thing#1} is a {rare#1} in {town#1} and a {rare#2} in {town#2}."
            ),
            (
                "{sign#1}, {sign#2}, {sign#3}: these are the names of three boats. {person#1} owns {sign#1}, {person#2}"
                " owns {sign#2} and {person#3} owns {sign#3}."
            ),
            (
                "From {town#1} to {town#2} it is {small#1} miles. From {town#2} to {town#3} it is {small#2} miles."
                " {person#1} walked {small#1} miles from {town#1} to {town#2}, and then {small#2} miles to {town#3}."
            ),
            (
                "{fullname#1} and {fullname#2} live in the same street. The {colour#1} house belongs to {fullname#1}"
                " and the {colour#2} house belongs to {fullname#2}."
            ),
            "{rare#1} {rare#2} {rare#3} {rare#4} {rare#5}. Once more: {rare#1} {rare#2} {rare#3} {rare#4} {rare#5}.",
        ]
    )


def shopping(scene):
    rng = scene.rng
    who = scene.draw("person")
    goods = rng.sample(LISTS["grocery"] + LISTS["fruit"], rng.randint(2, 5))
    heads = [
        f"{who}'s shopping list: {', '.join(goods)}.",
        "Shopping list\n" + "\n".join(f"* {good}" for good in goods) + "\n",
        f"{who} needed {joined(goods)}.",
    ]
    tails = [
        f" {who} went to the shop and bought {joined(goods)}.",
        f" At the market {who} found {joined(goods)}.",
        f" {who} bought the {goods[0]} first and the {goods[-1]} last. Now {who} has {joined(goods)}.",
    ]
    return rng.choice(heads) + rng.choice(tails)


def counting(scene):
    rng = scene.rng
    kind = rng.randrange(6)
    if kind == 0:
        start, length = rng.randint(0, 60), rng.randint(5, 12)
        return f"Count from {start} to {start + length}: " + ", ".join(str(start + i) for i in range(length + 1)) + "."
    if kind == 1:
        length = rng.randint(3, 12)
        return f"Count to {NUMBERS[length - 1]}: " + ", ".join(NUMBERS[:length]) + "."
    if kind == 2:
        a, b = rng.randint(0, 10), rng.randint(0, 10)
        return f"{a} + {b} = {a + b}. {b} + {a} = {a + b}. {a + b} - {a} = {b}."
    if kind == 3:
        a, b = rng.randint(1, 6), rng.randint(1, 6)
        who, other, what = scene.draw("person"), scene.draw("person"), rng.choice(LISTS["fruit"])
        return (
            f"{who} has {NUMBERS[a - 1]} {what}. {other} gives {who} {NUMBERS[b - 1]} more {what}. "
            f"Now {who} has {NUMBERS[a + b - 1]} {what}."
        )
    if kind == 4:
        days = LISTS["day"]
        i = rng.randrange(7)
        return (
            f"Today is {days[i]}. Tomorrow is {days[(i + 1) % 7]}. Yesterday was {days[i - 1]}. "
            f"After {days[(i + 1) % 7]} comes {days[(i + 2) % 7]}."
        )
    months = LISTS["month"]
    i = rng.randrange(12)
    return f"After {months[i]} comes {months[(i + 1) % 12]}. Before {months[i]} comes {months[i - 1]}."


def question(scene):
    return scene.fill(
        [
            (
                "Q: What colour is {person#1}'s {thing#1}?\nA: {person#1}'s {thing#1} is {colour#1}.\nQ: Is it"
                " {colour#2}?\nA: No, the {thing#1} is {colour#1}."
            ),
            (
                "Q: Where is {person#1}?\nA: {person#1} is in the {room#1}.\nQ: What is in the {room#1}?\nA: There is a"
                " {quality#1} {thing#1} in the {room#1}."
            ),
            (
                "Q: Who lives in {town#1}?\nA: {fullname#1} lives in {town#1}.\nQ: Where does {fullname#1} live?\nA: In"
                " {town#1}."
            ),
            "Q: What does a {job#1} do?\nA: I do not know. Ask {person#1}, {person#1} is a {job#1}.",
            (
                "Where is the {thing#1}? The {thing#1} is in the {room#1}. Where is the {thing#2}? The {thing#2} is in"
                " the {room#2}. So the {thing#1} is in the {room#1} and the {thing#2} is in the {room#2}."
            ),
            (
                "{person#1} likes {food#1} and {drink#1}. {person#2} likes {food#2} and {drink#2}. What does {person#1}"
                " like? {food#1!} and {drink#1}. What does {person#2} like? {food#2!} and {drink#2}."
            ),
            (
                "Question: who has the {thing#1}? {person#1} has the {thing#1}. Question: who has the {thing#2}?"
                " {person#2} has the {thing#2}."
            ),
            (
                "What is the name of the {animal#1}? The {animal#1} is called {person#1}. How old is {person#1}?"
                " {person#1} is {count#1} years old."
            ),
        ]
    )


def alphabet(scene):
    word = scene.rare().lower() if scene.rng.random() < 0.5 else scene.rng.choice(LISTS["thing"])
    word = word.replace(" ", "").replace("-", "")
    return f"The word {word} begins with {word[0]} and ends with {word[-1]}. It is spelt {', '.join(word)}: {word}."


KINDS = [
    (story, 24),
    (describe, 20),
    (record, 20),
    (repeat, 14),
    (question, 8),
    (talk, 6),
    (letter, 3),
    (shopping, 4),
    (counting, 4),
    (alphabet, 1),
]


def document(rng, rare_words):
    kind = rng.choices([k for k, _ in KINDS], [w for _, w in KINDS])[0]
    return kind(Scene(rng, rare_words))
