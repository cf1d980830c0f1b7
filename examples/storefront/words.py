"""What the seed's products and customers are made of."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CATEGORIES", "FEATURES", "FIRST_NAMES", "LAST_NAMES", "SERIES", "Assortment"]


class Assortment(NamedTuple):
    """A category: the letters of its SKUs, what there is in it, of what, and its prices in cents."""

    category: str
    code: str
    nouns: tuple[str, ...]
    materials: tuple[str, ...]
    cheapest: int
    dearest: int


CATEGORIES = (
    Assortment(
        "Lighting",
        "LMP",
        ("Desk Lamp", "Floor Lamp", "Pendant", "Wall Light", "Table Lamp", "Reading Light", "Lantern"),
        ("Brass", "Opal Glass", "Linen", "Black Steel", "Ash", "Smoked Glass"),
        2_900,
        38_000,
    ),
    Assortment(
        "Seating",
        "SEA",
        ("Armchair", "Dining Chair", "Stool", "Bench", "Lounge Chair", "Rocking Chair", "Footstool"),
        ("Oak", "Walnut", "Beech", "Bouclé", "Leather", "Rattan"),
        5_900,
        129_000,
    ),
    Assortment(
        "Tables",
        "TBL",
        ("Coffee Table", "Side Table", "Dining Table", "Desk", "Console", "Bedside Table"),
        ("Oak", "Walnut", "Marble", "Birch", "Powder-coated Steel"),
        7_900,
        189_000,
    ),
    Assortment(
        "Storage",
        "STO",
        ("Bookcase", "Shelf", "Sideboard", "Basket", "Drawer Unit", "Coat Rack", "Storage Box"),
        ("Oak", "Seagrass", "Birch", "Felt", "Galvanised Steel"),
        1_900,
        99_000,
    ),
    Assortment(
        "Kitchen",
        "KIT",
        (
            "Chef's Knife",
            "Chopping Board",
            "Saucepan",
            "Kettle",
            "Mixing Bowl",
            "Mortar",
            "Pepper Mill",
            "Colander",
        ),
        ("Cast Iron", "Stainless Steel", "Olive Wood", "Stoneware", "Copper", "Enamel"),
        990,
        24_900,
    ),
    Assortment(
        "Tableware",
        "TWR",
        ("Dinner Plate", "Mug", "Carafe", "Cereal Bowl", "Espresso Cup", "Serving Dish", "Tumbler", "Napkin"),
        ("Stoneware", "Porcelain", "Recycled Glass", "Linen", "Speckled Clay"),
        490,
        8_900,
    ),
    Assortment(
        "Textiles",
        "TEX",
        ("Throw", "Cushion", "Duvet Cover", "Bath Towel", "Rug", "Curtain", "Tablecloth"),
        ("Wool", "Washed Linen", "Organic Cotton", "Alpaca", "Jute", "Velvet"),
        1_490,
        45_000,
    ),
    Assortment(
        "Garden",
        "GRD",
        (
            "Planter",
            "Watering Can",
            "Hand Trowel",
            "Bird Feeder",
            "Deck Chair",
            "Fire Bowl",
            "Pruning Shears",
        ),
        ("Terracotta", "Zinc", "Teak", "Corten Steel", "Hammered Copper"),
        790,
        32_000,
    ),
    Assortment(
        "Stationery",
        "STN",
        ("Notebook", "Fountain Pen", "Desk Tray", "Wall Calendar", "Pencil Set", "Letter Opener", "Card Box"),
        ("Recycled Paper", "Brass", "Cork", "Cedar", "Linen-bound"),
        390,
        7_900,
    ),
    Assortment(
        "Bath",
        "BTH",
        ("Soap Dish", "Bath Mat", "Mirror", "Towel Rail", "Toothbrush Cup", "Laundry Bag"),
        ("Bamboo", "Stoneware", "Brushed Brass", "Cotton", "Slate"),
        690,
        18_900,
    ),
)

SERIES = (
    "Alder", "Aster", "Birk", "Brae", "Calder", "Cove", "Dune", "Elm", "Fjord", "Forrest", "Glen",
    "Harbour", "Heath", "Hollis", "Isla", "Juniper", "Kelp", "Lark", "Linden", "Loch", "Marlow",
    "Meadow", "Moor", "Nara", "North", "Orchard", "Pebble", "Quarry", "Ridge", "Rowan", "Sable",
    "Sorrel", "Tarn", "Thistle", "Vale", "Wharf", "Willow", "Yarrow",
)  # fmt: skip

FEATURES = (
    "Made to be repaired: every part can be ordered on its own.",
    "Finished by hand, so that no two are quite alike.",
    "Ages well and asks for nothing but a dry cloth.",
    "From a family workshop that has made little else for sixty years.",
    "Ships flat and goes together without tools.",
    "Goes with everything else of its series.",
    "Made of at least four fifths recycled material.",
    "Small enough for a city flat, sturdy enough for a farmhouse.",
)

FIRST_NAMES = (
    "Ada", "Alan", "Amina", "Anders", "Anna", "Barbara", "Carlos", "Chen", "Clara", "Dafydd",
    "Edsger", "Elif", "Emeka", "Fatima", "Frances", "Giulia", "Grace", "Hanna", "Hiro", "Ines",
    "Ivan", "Jamal", "Joana", "Katherine", "Kenji", "Lars", "Leila", "Linus", "Lucía", "Magnus",
    "Margaret", "Mateo", "Mei", "Nadia", "Niklaus", "Noor", "Olga", "Oscar", "Priya", "Radia",
    "Rosa", "Samir", "Sofia", "Tariq", "Tim", "Uma", "Vera", "Wangari", "Yusuf", "Zoë",
)  # fmt: skip

LAST_NAMES = (
    "Adeyemi", "Almeida", "Andersson", "Bauer", "Bennett", "Bianchi", "Brown", "Chaudhry", "Costa",
    "Dijkstra", "Dubois", "Eriksen", "Fischer", "Fraser", "García", "Haddad", "Hansen", "Hopper",
    "Ito", "Jansen", "Johnson", "Kim", "Kowalska", "Laurent", "Lindqvist", "Lovelace", "MacLeod",
    "Mbeki", "Moreau", "Müller", "Nakamura", "Novak", "O'Brien", "Okafor", "Patel", "Petrov",
    "Popescu", "Ramirez", "Rossi", "Santos", "Schmidt", "Silva", "Singh", "Tanaka", "Torvalds",
    "Turing", "Varga", "Wang", "Yilmaz", "Zimmermann",
)  # fmt: skip
