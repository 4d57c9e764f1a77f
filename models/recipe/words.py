"""Word lists of the synthetic text: plain data, no logic."""

GIRLS = """Anna Mia Lily Sara Emma Nora Ruth Clara Alice Eva Rosa Julia Maya Ella Grace Helen Ivy Jane Kate Laura Nina
Olga Paula Tina Vera Zoe Hanna Bella Carla Dora""".split()
BOYS = """Tom Ben Sam Max Leo Jack Paul Peter Adam Oscar Hugo Felix Noah Luke Mark Frank Henry Ivan Jonas Karl Louis
Martin Nick Oliver Robert Simon Victor Walter David Eric""".split()
SURNAMES = """Miller Baker Stone Hill Wood Field Brown Green Black White Carter Cook Fisher Hunter Taylor Mason Potter
Smith Ward Young King Bell Cole Dale Ford Grant Hale Lane Marsh Page Reed Shaw Webb""".split()

ANIMALS = """cat dog horse cow sheep goat pig hen duck goose fox wolf bear rabbit mouse frog owl crow swan deer donkey
parrot turtle squirrel hedgehog otter beaver snail bee spider""".split()
COLOURS = "red blue green yellow white black brown grey orange purple pink golden silver".split()
SIZES = "small big little large tiny huge long short tall wide".split()
MOODS = "happy sad tired angry proud calm hungry quiet nervous cheerful lonely excited curious brave".split()
QUALITIES = """old new quiet busy pretty famous strange simple strong soft warm cold bright dark clean dusty heavy
light broken beautiful gentle narrow wooden plain fresh""".split()
FOODS = """bread soup rice cheese fish chicken pasta salad cake pie pizza stew beans eggs noodles potatoes pancakes
sausages mushrooms curry""".split()
FRUITS = "apples pears plums cherries grapes lemons oranges bananas peaches berries figs melons".split()
GROCERIES = """milk butter flour sugar salt rice bread eggs cheese tea coffee honey oil soap onions carrots tomatoes
potatoes""".split()
DRINKS = "tea coffee milk water juice lemonade beer wine cocoa cider".split()
THINGS = """book lamp key box chair table clock cup plate spoon knife coat hat scarf shoe bag basket letter map ring
coin pencil bottle blanket pillow mirror candle ladder rope hammer kite drum ball bell umbrella wheel""".split()
ROOMS = "kitchen garden attic cellar hall bedroom garage bathroom library workshop".split()
PLACES = """park forest market beach school station harbour castle bridge farm river lake hill village church museum
library mill garden square theatre hospital bakery meadow valley""".split()
CITIES = """London Paris Rome Berlin Madrid Vienna Prague Oslo Lisbon Dublin Athens Cairo Tokyo Boston Chicago Sydney
Delhi Moscow Warsaw Bern""".split()
COUNTRIES = """France Italy Spain Germany Norway Sweden Poland Greece Turkey Egypt Japan China India Mexico Canada
Brazil Peru Kenya Ireland Portugal""".split()
NATIONS = """Italian French Spanish Greek Indian Chinese Japanese Thai Turkish Mexican German English Polish Irish
Korean Portuguese""".split()
JOBS = """teacher doctor baker farmer nurse painter sailor writer singer driver gardener cook tailor carpenter
fisherman librarian engineer shopkeeper waiter pilot""".split()
HOBBIES = """painting reading swimming singing dancing cooking fishing sewing running skating gardening drawing chess
football music photography""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = """January February March April May June July August September October November December""".split()
SEASONS = "spring summer autumn winter".split()
WEATHERS = "sunny cloudy rainy windy snowy foggy stormy cold warm mild dry wet".split()
SHOPS = (
    "bookshop bakery butcher florist toyshop pharmacy shoe shop grocery tea shop hat shop".replace(
        "shoe shop", "shoe-shop"
    )
    .replace("tea shop", "tea-shop")
    .replace("hat shop", "hat-shop")
    .split()
)
EATERIES = "restaurant café pub bistro inn diner tavern".split()
TREES = "oak pine birch elm willow maple ash beech poplar lime".split()
MATERIALS = "wood stone glass iron wool paper silk clay leather gold silver copper".split()
NUMBERS = """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty""".split()
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()

SIGN_ADJECTIVES = """Old Golden Silver Red Blue Green White Black Happy Hungry Lucky Little Merry Jolly Quiet Royal
Copper Sleepy Rusty Crooked Wild Gentle Crystal Wandering Laughing Dancing Secret Lonely Northern Proud""".split()
SIGN_NOUNS = """Fox Lion Swan Moon Star Anchor Crown Bell Oak Rose Ship Horse Owl Lantern Kettle Garden Harp Dragon
Tower Bridge Mill Wheel Barrel Spoon Table Corner Whale Pigeon Hare Castle""".split()

ATTRIBUTES = {
    "colour": COLOURS,
    "animal": ANIMALS,
    "city": CITIES,
    "country": COUNTRIES,
    "job": JOBS,
    "hobby": HOBBIES,
    "day": DAYS,
    "month": MONTHS,
    "drink": DRINKS,
    "fruit": FRUITS,
    "tree": TREES,
    "season": SEASONS,
    "weather": WEATHERS,
    "size": SIZES,
    "room": ROOMS,
    "meal": FOODS,
    "thing": THINGS,
    "material": MATERIALS,
    "mood": MOODS,
    "place": PLACES,
}
