"""Which drawings show which class: the names that drawing sets give to things, sorted by a person."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLASS_TABLE = """
airplane | airplane plane northeast-pointing-airplane up-pointing-airplane plane-up plane-tilt airplane-tilt \
commercial-airplane small-airplane up-pointing-small-airplane airplane-in-flight plane-inflight
airplane | airplane-departure airplane-arrival plane-departure plane-arrival airplane-takeoff airplane-landing \
flight-takeoff flight-land
airplane:jet | jet-fighter jet-fighter-up up-pointing-military-airplane
automobile | automobile oncoming-automobile car car-side car-rear car-profile car-simple car-hatchback \
car-estate car-2 car-3 city-car
automobile:suv | sport-utility-vehicle car-suv
automobile:taxi | taxi oncoming-taxi taxi-2
automobile:police car | police-car oncoming-police-car
automobile:racing car | racing-car car-sports race-car f1-car
bird | bird bird-1 bird-2 black-bird
bird:eagle | eagle eagle-head
bird:duck | duck
bird:parrot | parrot parrot-head
bird:owl | owl barn-owl
bird:dove | dove peace-dove pigeon
bird:swan | swan
bird:flamingo | flamingo
bird:goose | goose canadian-goose
bird:penguin | penguin penguin-1 penguin-2
bird:rooster | rooster
bird:chicken | chicken
bird:turkey | turkey
bird:peacock | peacock
bird:crow | crow raven
bird:kiwi | kiwi-bird
bird:ostrich | ostrich
bird:seagull | seagull
bird:sparrow | sparrow
bird:hummingbird | hummingbird
bird:toucan | toucan
bird:vulture | vulture
bird:chick | baby-chick front-facing-baby-chick
cat | cat cat-face catside
cat:black cat | black-cat
cat | grinning-cat grinning-cat-face grinning-cat-with-smiling-eyes grinning-cat-face-with-smiling-eyes \
kissing-cat kissing-cat-face pouting-cat pouting-cat-face cat-with-wry-smile cat-face-with-wry-smile
deer | deer deer-head deer-fill deer-line
deer:moose | moose
deer:stag | stag-head
deer:reindeer | reindeer reindeer-duo
dog | dog dog-face dogside dog-side sitting-dog jumping-dog dog-zodiac
dog:guide dog | guide-dog service-dog dog-service
dog:poodle | poodle
dog:hound | hound basset-hound-head
frog | frog frog-face frog-prince
horse | horse horse-face horseface horse-variant horse-variant-fast horse-head horse-zodiac
horse:carousel horse | carousel-horse carouselhorse
ship | ship passenger-ship
ship:ferry | ferry
ship:sailboat | sailboat sail-boat yacht caravel galleon
ship:boat | motor-boat speedboat speed-boat boat
ship:cargo ship | cargo-ship
truck | truck truck-front truck-moving truck-fast truck-side
truck:delivery truck | delivery-truck truck-delivery truck-cargo-container deliverytruck truck-field
truck:lorry | articulated-lorry truck-trailer articulatedlorry
truck:fire engine | fire-engine oncoming-fire-engine fire-truck fireengine
truck:pickup truck | pickup-truck car-pickup truck-pickup
truck:tow truck | tow-truck dump-truck tanker-truck
"""
"""class[:kind] | drawing names. Left out on purpose, as a person could call them something else: cartoon faces
made of a smiling cat with tears or heart eyes, wolves, unicorns, rocking and chess horses, people riding or
rowing, vans and buses, hatching chicks and roast birds, toy ducks and paper boats or planes."""

_OWN_NAMES = """
streamline-cyber-color | automobile: car-4 | automobile/police car: police-car-1 | cat: cat-2 | dog: dog-1 \
| truck/delivery truck: delivery-truck-5
streamline-flex-color | airplane: airport-plane airport-plane-flat | automobile/taxi: car-taxi-1 car-taxi-1-flat \
| cat: cat-2 cat-2-flat | dog: dog-1 dog-1-flat
streamline-plump-color | airplane: airplane-enabled airplane-enabled-flat | dog: dog-1 dog-1-flat \
| truck/fire engine: firefighter-truck firefighter-truck-flat | ship/sailboat: sail-ship sail-ship-flat
streamline-sharp-color | automobile: car-2 car-2-flat
streamline-ultimate-color | automobile: car-4 car-retro | ship/cargo ship: shipment-cargo-boat \
| truck: truck-empty-1 | truck/fire engine: public-service-firefighter-truck-1 \
| truck/delivery truck: delivery-truck-3 delivery-truck-cargo
marketeq | airplane/jet: jet-plane-right | ship/cargo ship: cargo-ship-2
boxicons | airplane: plane-alt plane-land plane-take-off | bird: bird-alt | cat: cat-body | dog: dog-alt dog-body
bi | truck: truck-flatbed
cil | airplane: airplane-mode | automobile: car-alt | ship/boat: boat-alt
fluent | airplane: airplane-24-filled airplane-24-regular airplane-landing-24-filled airplane-take-off-24-filled \
| cat: animal-cat-24-filled animal-cat-24-regular | dog: animal-dog-24-filled animal-dog-24-regular \
| automobile: vehicle-car-24-filled vehicle-car-24-regular vehicle-car-profile-24-filled \
vehicle-car-profile-ltr-24-regular | ship: vehicle-ship-24-filled \
vehicle-ship-24-regular | truck: vehicle-truck-24-filled vehicle-truck-24-regular vehicle-truck-profile-24-filled
hugeicons | airplane: airplane-01 airplane-02 airplane-landing-01 airplane-landing-02 airplane-take-off-01 \
airplane-take-off-02 airplane-mode | automobile: car-01 car-02 car-03 car-04 car-05 car-front \
| automobile/taxi: taxi-02 | ship/boat: ferry-boat | horse: horse-saddle | truck: container-truck-01 \
container-truck-02 semi-truck truck-electric truck-monster | truck/delivery truck: delivery-truck-01 \
delivery-truck-02 shipping-truck-01 shipping-truck-02
ion | airplane: airplane-sharp ios-airplane md-airplane plane | airplane/jet: ios-jet md-jet jet \
| ship/boat: boat-sharp ios-boat md-boat | automobile: car-sharp car-sport ios-car md-car
majesticons | airplane: airplane-flight-2 airplane-flight-2-line
ri | ship: ship-2-fill ship-2-line
solar | automobile: car-bold car-bold-duotone car-linear \
| cat: cat-bold cat-bold-duotone cat-linear
uil | airplane: plane-fly | automobile: car-sideview
temaki | airplane/jet: fighter-jet
streamline | airplane: airplane-solid airplane-enabled-solid airport-plane airport-plane-solid \
| automobile/taxi: car-taxi-1-solid car-taxi-1 | cat: cat-1 cat-1-solid nature-ecology-cat-head-cat-pet-animals-felyne \
| dog: nature-ecology-dog-head-dog-pet-animals-canine | ship/sailboat: sail-ship sail-ship-solid \
| truck: shipping-truck shipping-truck-solid
streamline-pixel | airplane: transportation-plane | truck: transportation-truck | cat: pet-animals-cat \
| dog: pet-animals-dog | frog: pet-animals-frog pet-animals-frog-face
picon | airplane: aircraft | cat: kitten | dog: puppy
"""
"""set | class[/kind]: drawing names ... for sets that only train, on top of the names they share with the others."""


_LEFT_OUT = re.compile(
    r"(cat|dog|puppy|kitten|bird|chick|duck|rooster|turkey|chicken|swan|penguin|dove|eagle|owl|parrot|goose|"
    r"flamingo|peacock|phoenix|horse|unicorn|zebra|donkey|deer|moose|frog|wolf|fox|tiger|leopard|lion|"
    r"airplane|plane|automobile|car|cars|taxi|truck|lorry|minibus|bus|ambulance|ship|boat|sailboat|canoe|"
    r"ferry|racing|vehicle|"
    r"tone|face|faces|button|hand|hands|finger|fingers|person|people|man|woman|men|women|mans|womans|boy|girl|"
    r"baby|family|kiss|couple|flag|flags|square|circle|input|clock|oclock|thirty|mark|sign|symbol|arrow|arrows|"
    r"keycap|hair|heart|medal|moon|selector|suit|index|fist|thumbs|triangle|diamond|zodiac|backhand|prince|"
    r"princess|child|adult|older|fairy|elf|genie|vampire|zombie|mage|merperson|supervillain|superhero|eyes|"
    r"letters|numbers|japanese|globe|levitating|lotus|no)(-|$)"
)
"""Parts of names that show one of the classes, something like it, or nothing that has a plain word."""
_UNCLEAR = frozenset(
    {
        "streamline-emojis:turkey",  # the country's flag
        "streamline-kameleon-color:chicken",  # roast
        "mingcute:chicken-fill",  # a drumstick
        "mingcute:chicken-line",
        "icon-park:turkey",  # roast
        "icon-park:chicken",
        "mdi:turkey",
        "icon-park:dog",  # could be a bear
        "icon-park:dog-zodiac",
        "icon-park:horse-zodiac",
        "icon-park:frog",  # could be a bear
        "lucide-lab:penguin",  # reads as a knot
        "game-icons:hound",
        "whh:chicken",  # a drumstick
        "cil:taxi",  # the word
        "solar:plane-outline",  # a paper plane
    }
)
"""Drawings a person does not recognise as their class, dropped after looking at a contact sheet."""
_TOO_FAINT = ("-thin", "-light")
_FINISH = re.compile(r"-(fill|bold|duotone|filled|line|outline)$")

Label = tuple[str, str]
"""(class, kind); kind is the class itself where there is no finer word."""


def class_table() -> dict[str, Label]:
    """Return drawing name -> label, for names that mean the same in every set."""
    table: dict[str, Label] = {}
    for columns in _rows(_CLASS_TABLE):
        label, names = columns
        cls, _, kind = label.partition(":")
        for name in names.split():
            table[name] = (cls, kind or cls)
    return table


def own_names() -> dict[str, dict[str, Label]]:
    """Return set -> drawing name -> label, for names that mean this in one set only."""
    table: dict[str, dict[str, Label]] = {}
    for set_name, *groups in _rows(_OWN_NAMES):
        own = table.setdefault(set_name, {})
        for group in groups:
            label, _, names = group.partition(":")
            cls, _, kind = label.strip().partition("/")
            for name in names.split():
                own[name] = (cls, kind or cls)
    return table


def _rows(text: str) -> Iterator[list[str]]:
    """Yield the columns of each line; a backslash joins a line with the next."""
    for line in text.replace("\\\n", " ").strip().splitlines():
        yield [column.strip() for column in line.split("|")]


def labels_of(set_name: str) -> dict[str, Label]:
    """Return drawing name -> label for one set."""
    return class_table() | own_names().get(set_name, {})


def label_of(name: str, labels: dict[str, Label]) -> Label | None:
    """Return the label of a drawing, whatever its finish, or None where it shows no class."""
    return labels.get(name) or labels.get(_FINISH.sub("", name))


def is_unclear(set_name: str, name: str) -> bool:
    """Tell whether a person would not recognise the drawing as its class."""
    return f"{set_name}:{name}" in _UNCLEAR or name.endswith(_TOO_FAINT)


def is_left_out(name: str) -> bool:
    """Tell whether a drawing is no other concept: it shows a class, something like one, or has no plain word."""
    if name in class_table():
        return True
    return any(_LEFT_OUT.match(part) for part in name.split("-"))
