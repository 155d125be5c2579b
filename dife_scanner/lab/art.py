"""Vector art for the laboratory: which drawing sets there are, what each drawing shows, and its pixels.

Nothing here is needed at run time; the bases, the probe set and the lab sprites are made from it once. Every
set is an npm package in the Iconify JSON format (a name -> SVG body table plus licence information).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.errors import DifeError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""The ten CIFAR-10 class names, in their usual order."""


class ArtError(DifeError):
    """A drawing set cannot be fetched or read."""


@dataclass(frozen=True)
class ArtSet:
    """One pinned set of drawings and the part it plays."""

    name: str
    version: str
    held_out: bool
    """True: no base ever trains on it."""
    mono: bool
    """True: one colour only, painted with a random tint."""
    family: str
    """Sets of one family draw the same designs in different finishes."""
    pictures: bool = True
    """False: bases train on it, but no probe picture or lab sprite is made from it."""


def _sets(*rows: tuple[str, str, bool, bool, str]) -> dict[str, ArtSet]:
    return {row[0]: ArtSet(*row) for row in rows}


def _more(*rows: tuple[str, str, bool]) -> dict[str, ArtSet]:
    return {name: ArtSet(name, version, False, mono, name, pictures=False) for name, version, mono in rows}


SETS = _sets(
    ("noto", "1.2.9", False, False, "noto"),
    ("twemoji", "1.2.5", False, False, "twemoji"),
    ("openmoji", "1.2.29", False, False, "openmoji"),
    ("fxemoji", "1.2.2", False, False, "fxemoji"),
    ("emojione-v1", "1.2.3", False, False, "emojione-v1"),
    ("streamline-emojis", "1.2.4", False, False, "streamline-emojis"),
    ("streamline-kameleon-color", "1.2.2", False, False, "kameleon"),
    ("mdi", "1.2.3", False, True, "mdi"),
    ("fa6-solid", "1.2.4", False, True, "fa6"),
    ("ph", "1.2.2", False, True, "ph"),
    ("mingcute", "1.2.8", False, True, "mingcute"),
    ("fluent-emoji", "1.2.7", True, False, "fluent"),
    ("fluent-emoji-flat", "1.2.6", False, False, "fluent"),
    ("fluent-emoji-high-contrast", "1.2.6", True, True, "fluent"),
    ("emojione", "1.2.3", True, False, "emojione"),
    ("emojione-monotone", "1.2.1", True, True, "emojione"),
    ("noto-v1", "1.2.5", True, False, "noto-v1"),
    ("game-icons", "1.2.4", True, True, "game-icons"),
    ("icon-park", "1.2.4", True, False, "icon-park"),
    ("tabler", "1.2.41", True, True, "tabler"),
    ("lucide-lab", "1.2.3", True, True, "lucide-lab"),
) | _more(
    ("streamline-cyber-color", "1.2.2", False),
    ("streamline-flex-color", "1.2.2", False),
    ("streamline-plump-color", "1.2.2", False),
    ("streamline-sharp-color", "1.2.2", False),
    ("streamline-ultimate-color", "1.2.2", False),
    ("marketeq", "1.2.2", False),
    ("boxicons", "1.2.0", True),
    ("bi", "1.2.7", True),
    ("cil", "1.2.3", True),
    ("fluent", "1.2.60", True),
    ("hugeicons", "1.2.35", True),
    ("ion", "1.2.7", True),
    ("majesticons", "1.2.5", True),
    ("ri", "1.2.10", True),
    ("solar", "1.2.13", True),
    ("uil", "1.2.3", True),
    ("temaki", "1.2.6", True),
    ("streamline", "1.2.5", True),
    ("streamline-pixel", "1.2.0", True),
    ("picon", "1.2.0", True),
    ("whh", "1.2.0", True),
    ("zmdi", "1.2.0", True),
)

PICTURED = tuple(name for name, spec in SETS.items() if spec.pictures)
"""Sets that probe pictures and lab sprites are made from."""

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
_WORD = re.compile(r"^[a-z]+(-[a-z]+){0,2}$")
_CONCEPT_SETS = (
    "noto",
    "twemoji",
    "openmoji",
    "fxemoji",
    "emojione-v1",
    "streamline-emojis",
    "streamline-kameleon-color",
)
"""Colour sets that other concepts are taken from."""


def class_table() -> dict[str, tuple[str, str]]:
    """Drawing name -> (class, kind); kind is the class itself where there is no finer word."""
    table: dict[str, tuple[str, str]] = {}
    for line in _CLASS_TABLE.replace("\\\n", " ").strip().splitlines():
        label, names = (part.strip() for part in line.split("|"))
        cls, _, kind = label.partition(":")
        table.update(dict.fromkeys(names.split(), (cls, kind or cls)))
    return table


def own_names() -> dict[str, dict[str, tuple[str, str]]]:
    """Set -> drawing name -> (class, kind), for names that mean this in one set only."""
    table: dict[str, dict[str, tuple[str, str]]] = {}
    for line in _OWN_NAMES.replace("\\\n", " ").strip().splitlines():
        set_name, *groups = (part.strip() for part in line.split("|"))
        for group in groups:
            label, _, names = group.partition(":")
            cls, _, kind = label.strip().partition("/")
            table.setdefault(set_name, {}).update(dict.fromkeys(names.split(), (cls, kind or cls)))
    return table


@dataclass(frozen=True)
class Drawing:
    """One picture of one thing."""

    set_name: str
    name: str
    svg: str = field(repr=False)
    cls: str | None
    """One of CLASSES, or None for another concept."""
    term: str
    """The finest word for what is shown: `eagle`, `pickup truck`, `apple`."""

    @property
    def id(self) -> str:
        """`set:name`, unique."""
        return f"{self.set_name}:{self.name}"

    @property
    def design(self) -> str:
        """`family:name`: drawings that share it are one design in several finishes."""
        base = re.sub(r"-(fill|line|bold|duotone|light|thin|filled|outline|duo|solid)$", "", self.name)
        return f"{SETS[self.set_name].family}:{base}"


def fetch(folder: Path, names: Iterable[str] = tuple(SETS)) -> None:
    """Make each named set present and unpacked under `folder`, using `npm pack` for what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        target = _package(folder, SETS[name])
        if not (target / "icons.json").exists():
            _unpack(_pack(folder, SETS[name]), target.parent)


def _package(folder: Path, art: ArtSet) -> Path:
    return folder / f"iconify-json-{art.name}-{art.version}" / "package"


def _pack(folder: Path, art: ArtSet) -> Path:
    command = ["npm", "pack", "--silent", f"@iconify-json/{art.name}@{art.version}"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as problem:
        raise ArtError(f"cannot fetch the drawing set {art.name}@{art.version}: {problem}") from problem
    return folder / f"iconify-json-{art.name}-{art.version}.tgz"


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")


def licence(folder: Path, name: str) -> dict[str, str]:
    """Title, SPDX id, author and addresses of a set, from its own information file."""
    info = json.loads((_package(folder, SETS[name]) / "info.json").read_text())
    terms, author = info["license"], info["author"]
    return {
        "set": name,
        "title": info["name"],
        "version": SETS[name].version,
        "spdx": terms.get("spdx", ""),
        "licence_url": terms.get("url", ""),
        "author": author["name"],
        "author_url": author.get("url", ""),
    }


def bodies(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """(drawing name, svg) of a set, aliases after the drawings they repeat."""
    table: dict[str, Any] = json.loads((_package(folder, SETS[name]) / "icons.json").read_text())
    icons: dict[str, Any] = table["icons"]
    aliases = {k: icons[v["parent"]] for k, v in table.get("aliases", {}).items() if v["parent"] in icons}
    for icon_name, icon in [*sorted(icons.items()), *sorted(aliases.items())]:
        width, height = (icon.get(side, table.get(side, 16)) for side in ("width", "height"))
        left, top = icon.get("left", 0), icon.get("top", 0)
        yield (
            icon_name,
            (
                '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
            ),
        )


def class_drawings(folder: Path, names: Iterable[str] = PICTURED) -> list[Drawing]:
    """Every drawing of the ten classes, once (aliases and exact repeats dropped)."""
    found: list[Drawing] = []
    seen: set[bytes] = set()
    for set_name in names:
        table = class_table() | own_names().get(set_name, {})
        for name, svg in bodies(folder, set_name):
            base = re.sub(r"-(fill|bold|duotone|filled|line|outline)$", "", name)
            label = table.get(name) or table.get(base)
            digest = hashlib.sha256(svg.encode()).digest()
            unclear = f"{set_name}:{name}" in _UNCLEAR or name.endswith(_TOO_FAINT)
            if label is None or digest in seen or unclear:
                continue
            seen.add(digest)
            found.append(Drawing(set_name, name, svg, *label))
    return found


def other_drawings(folder: Path, at_least: int = 4) -> list[Drawing]:
    """Drawings of other concepts, from the colour training sets; a concept needs `at_least` sets."""
    squeezed: dict[str, dict[str, str]] = {}
    for set_name in _CONCEPT_SETS:
        squeezed[set_name] = {name.replace("-", ""): svg for name, svg in bodies(folder, set_name)}
    concepts = [name for name, _ in bodies(folder, "noto") if _WORD.match(name) and not _is_left_out(name)]
    found = []
    for concept in sorted(set(concepts)):
        key = concept.replace("-", "")
        having = [s for s in _CONCEPT_SETS if key in squeezed[s]]
        if len(having) >= at_least:
            found += [Drawing(s, concept, squeezed[s][key], None, concept.replace("-", " ")) for s in having]
    return found


def _is_left_out(name: str) -> bool:
    return name in class_table() or any(_LEFT_OUT.match(part) for part in name.split("-"))


def render(drawing: Drawing, size: int) -> NDArray[np.uint8]:
    """RGBA pixels, (size, size, 4), cropped to the drawing's own extent and centred.

    Monochrome sets come out black; the scene composer paints them.
    """
    import resvg_py
    from PIL import Image

    svg = drawing.svg.replace("currentColor", "#000000")
    big = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=2 * size, height=2 * size))))
    box = big.getchannel("A").point([0 if a < 8 else 255 for a in range(256)]).getbbox()
    if box is None:
        return np.zeros((size, size, 4), np.uint8)
    cut = big.convert("RGBA").crop(box)
    scale = size / max(cut.size)
    shape = (max(1, round(cut.width * scale)), max(1, round(cut.height * scale)))
    canvas = Image.new("RGBA", (size, size))
    small = cut.resize(shape, Image.Resampling.LANCZOS)
    canvas.paste(small, ((size - shape[0]) // 2, (size - shape[1]) // 2))
    return np.asarray(canvas, np.uint8)
