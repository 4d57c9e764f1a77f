"""Connected prose: stories, descriptions, talk and letters."""


def _hero(scene):
    """Binds a hero and the pronouns that go with the hero's name."""
    girl = scene.rng.random() < 0.5
    scene.bound["hero"] = scene.draw("girl" if girl else "boy")
    scene.bound["she"], scene.bound["her"], scene.bound["hers"] = (
        ("she", "her", "her") if girl else ("he", "him", "his")
    )
    return scene


OPENINGS = [
    "Once there was a {mood#1} {animal#1} called {hero}. ",
    "{hero} was a {quality#1} {job#1} in {town#1}. ",
    "One {day#1} in {season#1}, {hero} went to the {place#1}. ",
    "{hero} lived in a {size#1} {colour#1} house near the {place#1}. ",
    "A long time ago, in the village of {town#1}, lived a {job#1} called {hero}. ",
    "It was a {weather#1} morning, and {hero} was {mood#1}. ",
    "There was once a {job#1} whose name was {hero}. ",
    "Every {day#1} {hero} walked from the {place#1} to the {place#2}. ",
    "{hero} had a {colour#1} {animal#2}, and the {animal#2} was called {person#5}. ",
    "In the {quality#1} {place#1} of {town#1} lived a {animal#1}. The {animal#1} was called {hero}. ",
]
TROUBLES = [
    "{she!} wanted to find {hers} {thing#1}, but the {thing#1} was gone. ",
    "That day {she} lost a {colour#2} {thing#1} on the way to the {place#3}. ",
    "{she!} had nothing to eat but {food#1}, and {she} did not like {food#1}. ",
    (
        'Then {she} saw a {size#2} {animal#3} behind the {tree#1}. "Who are you?" asked {hero}. "I am {person#2}," said'
        " the {animal#3}. "
    ),
    (
        '{she!} met {person#2}, who was {mood#2}. "Why are you {mood#2}?" asked {hero}. "I have lost my {thing#1},"'
        " said {person#2}. "
    ),
    "It began to rain, and {hero} had no umbrella. {she!} ran to the {place#3} and waited there. ",
    "An old {job#2} came along the road and gave {her} a {material#1} {thing#1}. ",
    "{hero} heard a strange noise in the {room#1}. It sounded like a {animal#3}. ",
    '{person#2} asked {her} for help. "My {animal#3} has run away to the {place#3}," said {person#2}. ',
    "{she!} had to carry a {quality#2} {thing#1} to {person#2} in {town#2}, and the way to {town#2} was long. ",
    "Nobody in the {place#3} wanted to talk to {her}, and {hero} felt {mood#2}. ",
]
MIDDLES = [
    "{hero} looked in the {room#2}, but the {room#2} was empty. ",
    '"Come with me," said {person#2}, and {hero} followed {person#2}. ',
    "So {hero} and {person#2} went to the {place#4} together. ",
    "{she!} sat down under the {tree#2} and thought about it. ",
    "{hero} asked {person#3}, but {person#3} only laughed. ",
    "After a while {she} came to a bridge over the river. ",
    "The {animal#4} in the {place#4} knew the answer, but the {animal#4} said nothing. ",
    '"Do you like {food#2}?" asked {person#3}. "Yes, I like {food#2}," said {hero}. ',
    "{she!} opened the {colour#3} box and found a {thing#3} in the box. ",
    "Then {hero} had an idea. ",
    "{person#3} gave {her} {count#1} {fruit#1}, and {hero} ate the {fruit#1} at once. ",
]
ENDINGS = [
    "In the end {hero} found the {thing#1} in the {room#3}, and {she} was happy.",
    'When the sun went down, {hero} went home. "What a day!" {she} said.',
    "From that day on, {hero} and {person#2} were good friends.",
    "At home {she} made a pot of {drink#1} and went to bed.",
    "{hero} never forgot that day.",
    '"Thank you, {hero}," said {person#2}. "You are welcome, {person#2}," said {hero}.',
    "The {thing#1} was under the {thing#4} all the time.",
    "{hero} smiled, and all was well again.",
    "Nobody ever saw the {animal#3} again, but {hero} told the story every {season#2}.",
    "And that is the story of {hero} and the {thing#1}.",
]


def story(scene):
    _hero(scene)
    parts = [scene.fill(OPENINGS), scene.fill(TROUBLES)]
    for middle in scene.rng.sample(MIDDLES, scene.rng.randint(0, 3)):
        parts.append(scene.fill(middle))
    return "".join(parts) + scene.fill(ENDINGS)


SCENES = {
    "river": [
        "The river {town#1} is {small#1} miles long. ",
        "The river {town#1} runs through the town of {town#2}. ",
        "The river is {quality#1} and the water is {quality#2}. ",
        "There is a {size#1} {material#1} bridge over the river. ",
        "In {season#1} the river is full of fish. ",
        "The river runs down from the hill to the sea. ",
        "Near the river stands a {quality#3} mill. ",
        "People come to the river on {day#1} to swim and to fish. ",
        "The river begins near {town#3} and ends in the sea. ",
        "The boats on the river are {colour#1} and {colour#2}. ",
    ],
    "town": [
        "{town#1} is a {quality#1} town in {country#1}. ",
        "About {small#1} thousand people live in {town#1}. ",
        "In the middle of {town#1} there is a {size#1} {place#1}. ",
        "{town#1} is known for its {food#1} and its {place#2}. ",
        "The people of {town#1} are {mood#1} and speak {nation#1}. ",
        "The {place#1} was built in {year#1}. ",
        "Every {day#1} there is a market, where people sell {fruit#1} and {grocery#1}. ",
        "From {town#1} it is {small#2} miles to {city#1}. ",
        "In {season#1} it is often {weather#1} in {town#1}. ",
    ],
    "eatery": [
        "{sign#1} is a {quality#1} {eatery#1} in {town#1}. ",
        "There is a {eatery#1} near the {place#1} that is called {sign#1}. ",
        "The cook at {sign#1} is {fullname#1}. ",
        "People go to {sign#1} for the {food#1} and the {drink#1}. ",
        "The {food#1} is good and the {drink#1} is cheap. ",
        "{sign#1} is closed on {day#1}. ",
        "It is open from {day#2} to {day#3}. ",
        "It has {count#1} tables and a {colour#1} door. ",
        "The food is {nation#1}, and the prices are fair. ",
        "{person#2} eats at {sign#1} every {day#4}. ",
    ],
    "shop": [
        "{fullname#1} has a {shop#1} in the {quality#1} part of {town#1}. ",
        "The {shop#1} is called {sign#1}. ",
        "It is a {size#1} shop with a {colour#1} window. ",
        "At {sign#1} you can buy a {thing#1} for {small#1} coins. ",
        "The {shop#1} opens on {day#1} and closes on {day#2}. ",
        "{person#2} bought a {quality#2} {thing#2} there. ",
        "The {thing#2} was made of {material#1}. ",
        "{sign#1} has stood there since {year#1}. ",
    ],
    "person": [
        "{fullname#1} is a {job#1} from {city#1}. ",
        "{fullname#1} was born in {city#1} in {month#1} {year#1}. ",
        "{fullname#1} likes {hobby#1} and {hobby#2}. ",
        "The {job#1} has {count#1} {animal#1}s and a {colour#1} {animal#2}. ",
        "On {day#1} {fullname#1} goes to the {place#1}. ",
        "{fullname#1}'s best friend is {person#2}. ",
        "{person#2} is a {job#2} and likes {hobby#3}. ",
        "They often drink {drink#1} and eat {food#1} together. ",
    ],
    "weather": [
        "On {day#1} it was {weather#1} in {city#1}. ",
        "In the morning it was {weather#1}, and in the evening it was {weather#2}. ",
        "The weather in {month#1} is mostly {weather#3}. ",
        "It was {small#1} degrees, and the wind came from the north. ",
        "It will be {weather#4} on {day#2}. ",
        "{person#1} does not like it when it is {weather#1}. ",
        "The sky was {colour#1}, and the sea was {colour#2}. ",
    ],
    "animal": [
        "The {animal#1} is a {size#1} animal. ",
        "The {animal#1} in the {place#1} is {colour#1} and {colour#2}. ",
        "It likes to eat {food#1} and {fruit#1}. ",
        "{person#1}'s {animal#1} is called {rare#1!}. ",
        "{rare#1!} sleeps in the {room#1}, next to the {thing#1}. ",
        "{rare#1!} is {count#1} years old and always {mood#1}. ",
        "In {season#1} {rare#1!} likes to play in the {place#1}. ",
    ],
    "house": [
        "The house of {fullname#1} is {colour#1} and has {count#1} rooms. ",
        "In the {room#1} there is a {material#1} {thing#1}. ",
        "In the {room#2} there is a {quality#1} {thing#2}. ",
        "The {thing#1} belongs to {person#2}, and the {thing#2} belongs to {person#3}. ",
        "Behind the house stands a {tree#1}. ",
        "The {tree#1} is as old as the house. ",
        "The windows of the house are {size#1}. ",
        "A {animal#1} lives in the {room#3}. ",
    ],
}


def describe(scene):
    lines = SCENES[scene.rng.choice(sorted(SCENES))]
    count = scene.rng.randint(2, min(6, len(lines)))
    chosen = (
        sorted(scene.rng.sample(range(len(lines)), count))
        if scene.rng.random() < 0.8
        else scene.rng.sample(range(len(lines)), count)
    )
    return "".join(scene.fill(lines[i]) for i in chosen).strip()


EXCHANGES = [
    (
        "Where are you going, {b}?",
        "I am going to the {place#1}.",
        "What do you want in the {place#1}?",
        "I want to see a {animal#1}.",
    ),
    (
        "Have you seen my {thing#1}?",
        "Your {thing#1} is in the {room#1}.",
        "Thank you, {b}. I need the {thing#1}.",
        "You are welcome, {a}.",
    ),
    (
        "What is your name?",
        "My name is {b}. And what is your name?",
        "I am {a}. I come from {town#1}.",
        "I have never been to {town#1}.",
    ),
    (
        "Are you hungry, {b}?",
        "Yes, I would like some {food#1}.",
        "We have no {food#1}, but we have {food#2}.",
        "Then I take the {food#2}.",
    ),
    (
        "How is the weather in {town#1}?",
        "It is {weather#1} in {town#1}.",
        "Here it is {weather#2}.",
        "I like {weather#2} days.",
    ),
    (
        "Who is that?",
        "That is {fullname#1}, the {job#1}.",
        "Is {fullname#1} a friend of yours?",
        "Yes, I know {fullname#1} well.",
    ),
    (
        "When do we meet?",
        "We meet on {day#1} at {sign#1}.",
        "On {day#1}? At {sign#1}?",
        "Yes, at {sign#1}, on {day#1}.",
    ),
    (
        "How many {fruit#1} do you have?",
        "I have {count#1} {fruit#1}.",
        "May I have {fruit#1} too?",
        "Yes, take one of my {count#1} {fruit#1}.",
    ),
]


def talk(scene):
    a, b = scene.fill("{person#1}"), scene.fill("{person#2}")
    scene.bound["a"], scene.bound["b"] = a, b
    lines = [scene.fill(line) for line in scene.rng.choice(EXCHANGES)]
    if scene.rng.random() < 0.5:
        return "\n".join(f"{a if i % 2 == 0 else b}: {line}" for i, line in enumerate(lines))
    said = []
    for i, line in enumerate(lines):
        verb = "asked" if line.endswith("?") else "said"
        spoken = line if line.endswith("?") else line[:-1] + ","
        said.append(f'"{spoken}" {verb} {a if i % 2 == 0 else b}.')
    return " ".join(said)


def letter(scene):
    _hero(scene)
    body = scene.fill(
        [
            (
                "how are you? I am in {town#1} now. It is {weather#1} here, and the {place#1} is {quality#1}. I have"
                " bought a {thing#1} for you."
            ),
            (
                "thank you for the {thing#1}. It is a very {quality#1} {thing#1}. {person#2} has seen the {thing#1} too"
                " and likes it."
            ),
            "please come to {sign#1} on {day#1}. {person#2} will be at {sign#1} too. Bring the {thing#1} with you.",
            "I lost your {thing#1} in {town#1}. I am {mood#1} about it. I will buy a new {thing#1} on {day#1}.",
            (
                "my {animal#1} is called {rare#1!}. {rare#1!} is {colour#1} and eats {food#1}. When will you come and"
                " see {rare#1!}?"
            ),
        ]
    )
    return scene.fill("Dear {person#1},\n" + body + "\nYours, {hero}")
