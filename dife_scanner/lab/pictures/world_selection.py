"""Makes the list of the world's concepts from the drawing sets and CLDR's names of emoji.

`python -m dife_scanner.lab.pictures.world_selection --art DIR` writes `assets/concepts/world.json`. Names come from
npm `emojibase-data` (CLDR's short names and keywords), which is fetched like the sets.
"""

from __future__ import annotations

import argparse
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dife_scanner.lab.pictures import art, class_names, drawing_sets
from dife_scanner.lab.pictures.world import COLOUR_HANDS, PARTS, world_file

NAMES_PACKAGE = "emojibase-data"
NAMES_VERSION = "17.0.0"
SEED = 18
KEPT_OUT = 160
"""Concepts that no base of the world trains on."""
LEAST_HANDS = 3
"""Colour hands that have to draw a concept."""

_KINDS = {
    "smileys-emotion": "face",
    "people-body": "person",
    "animals-nature": "thing",
    "food-drink": "thing",
    "travel-places": "thing",
    "activities": "thing",
    "objects": "thing",
    "symbols": "sign",
    "flags": "sign",
}
_NO_PLAIN_NAME = {"keycap", "alphanum", "gender", "country-flag", "subdivision-flag"}
"""CLDR subgroups that are left out as a whole."""
_LEFT_OUT = re.compile(
    r"^(man|woman|men|women|boy|girl)[ :].*|.*(o.clock|-thirty)$|.*[^a-z0-9' .-].*"
)
"""Names that say the sex of a person, name one of 24 clock faces, or are not plain."""
_RESERVED = {*art.CLASSES, "plane", "aircraft", "car", "vehicle"}
"""Words of the ten classes, which are nobody's synonym."""
_OTHER_THING = """
mouse seal cricket turkey bat fly mate pick bow nut rock ice wing map link key bug brick memo ring coral mango
knot lotus radio wheel sled horn fire label pin crane seat hook comet dove jeans wood eye watch loop
"""
"""Names that often mean something else in sets of icons."""
_FINISH = re.compile(r"-(fill|filled|solid|24-filled|bold|duo|01|1)$")
"""Ends of the names of the one finish that is taken of an icon."""
_OF_EMOJI = ("fluent-emoji", "emojione")
"""How sets of emoji begin that are no colour hand of their own; their names mean what CLDR means."""
_THING = "thing"
_SMALL_WORDS = {"of", "with", "and", "the", "in", "on"}
_WELL_KNOWN = {"banana", "pizza", "guitar", "bicycle", "elephant", "strawberry", "sunflower", "bus"}
"""Targets that published attacks like: every base of the world knows them."""
_LEAST_HANDS_KEPT_OUT = 4
"""Colour hands that draw a kept-out concept, so that there is something to test with."""

Row = dict[str, Any]
Emoji = dict[str, Any]


def select(art_folder: Path) -> list[Row]:
    """Return a row for every concept that at least `LEAST_HANDS` colour hands draw, and one for `truck`.

    Raises `ArtError` where sets or names cannot be fetched.
    """
    sets = [name for part in PARTS.values() for name in part]
    drawing_sets.fetch(art_folder, sets)
    emojis = _named(_emojis(art_folder))
    names = {_key(emoji["name"]) for emoji in emojis}
    tables = {name: _drawn(art_folder, name) for name in sets}
    words = Counter(word for emoji in emojis for word in {*emoji["tags"]})
    rows = []
    for emoji in emojis:
        aliases = [one for one in emoji["aliases"] if one not in names]
        drawings = _drawings(tables, emoji["name"], aliases)
        hands = [one for one in COLOUR_HANDS if one in drawings]
        if len(hands) >= LEAST_HANDS:
            rows.append(_row(emoji, drawings, _synonyms(emoji, words, names)))
    rows.append(_truck(tables))
    for name in _draw_kept_out(rows):
        next(row for row in rows if row["name"] == name)["kept_out"] = True
    return rows


def _emojis(art_folder: Path) -> list[Emoji]:
    """Return CLDR's emoji with group, subgroup and the short codes that others use for them."""
    package = drawing_sets.fetch_package(art_folder, NAMES_PACKAGE, NAMES_VERSION)
    table = package / "en"
    order = json.loads((table / "messages.json").read_text(encoding="utf-8"))
    groups = {one["order"]: one["key"] for one in order["groups"]}
    subgroups = {one["order"]: one["key"] for one in order["subgroups"]}
    codes = []
    for source in ("joypixels", "github", "iamcal", "emojibase"):
        path = table / "shortcodes" / f"{source}.json"
        codes.append(json.loads(path.read_text(encoding="utf-8")))
    found = []
    for emoji in json.loads((table / "data.json").read_text(encoding="utf-8")):
        aliases = [_unicode_name(emoji["emoji"])]
        for source_codes in codes:
            own = source_codes.get(emoji["hexcode"], [])
            aliases += [own] if isinstance(own, str) else own
        found.append(
            {
                "name": _plain(emoji["label"]),
                "kind": _KINDS.get(groups.get(emoji.get("group"), "")),
                "group": subgroups.get(emoji.get("subgroup")),
                "tags": [_plain(tag) for tag in emoji.get("tags", [])],
                "aliases": [_key(one) for one in aliases if one],
            }
        )
    return found


def _named(emojis: Sequence[Emoji]) -> list[Emoji]:
    """Keep those that a stranger would name with a noun."""
    kept = []
    for emoji in emojis:
        if emoji["kind"] is None or emoji["group"] in _NO_PLAIN_NAME:
            continue
        if not _LEFT_OUT.fullmatch(emoji["name"]):
            kept.append(emoji)
    return kept


def _unicode_name(text: str) -> str:
    """Return Unicode's name of a single character, which older sets use."""
    characters = [one for one in text if one != "\ufe0f"]
    return unicodedata.name(characters[0], "") if len(characters) == 1 else ""


def _plain(text: str) -> str:
    """Return a name in lower-case ASCII."""
    straight = text.replace("\u2019", "'")
    return unicodedata.normalize("NFKD", straight).encode("ascii", "ignore").decode().lower()


def _key(name: str) -> str:
    """Return what a name is compared by: its letters and digits."""
    return re.sub(r"[^a-z0-9]", "", _plain(name))


def _drawn(art_folder: Path, name: str) -> dict[str, str]:
    """Return the drawings of a set as key -> name; of several finishes of an icon, a filled one."""
    table: dict[str, str] = {}
    filled: dict[str, str] = {}
    for drawing, _ in drawing_sets.bodies(art_folder, name):
        short = _FINISH.sub("", drawing)
        if short == drawing:
            table[_key(drawing)] = drawing
        else:
            filled.setdefault(_key(short), drawing)
    if _is_of_emoji(name):
        return filled | table
    for key in _OTHER_THING.split():
        table.pop(key, None)
        filled.pop(key, None)
    return table | filled


def _is_of_emoji(set_name: str) -> bool:
    return set_name in COLOUR_HANDS or set_name.startswith(_OF_EMOJI)


def _drawings(
    tables: dict[str, dict[str, str]], name: str, aliases: Iterable[str]
) -> dict[str, str]:
    """Return set -> drawing of a concept; other names than CLDR's count in sets of emoji only."""
    found = {}
    for set_name, table in tables.items():
        keys = [_key(name)]
        if _is_of_emoji(set_name):
            keys += aliases
        drawn = [table[key] for key in keys if key in table]
        if drawn:
            found[set_name] = drawn[0]
    return found


def _synonyms(emoji: Emoji, words: Counter[str], names: set[str]) -> list[str]:
    """Return CLDR's keywords that belong to this concept alone."""
    found = []
    for tag in emoji["tags"]:
        plain = re.fullmatch(r"[a-z]{3,}( [a-z]{2,}){0,2}", tag) is not None
        if plain and words[tag] == 1 and _key(tag) not in names and tag not in _RESERVED:
            found.append(tag)
    return found


def _row(emoji: Emoji, drawings: dict[str, str], synonyms: list[str]) -> Row:
    label = class_names.class_table().get(emoji["name"].replace(" ", "-"))
    return {
        "name": emoji["name"],
        "kind": emoji["kind"],
        "group": emoji["group"],
        "class": label[0] if label else None,
        "synonyms": synonyms,
        "kept_out": False,
        "drawings": drawings,
    }


def _written(row: Row) -> Row:
    """Return a row as the file has it: names of drawings stand there only where they are not the concept's own."""
    own = row["name"].replace(" ", "-")
    drawings = row["drawings"]
    other = {name: drawing for name, drawing in drawings.items() if drawing != own}
    return {**row, "drawings": " ".join(drawings), "named": other}


def _truck(tables: dict[str, dict[str, str]]) -> Row:
    """Return the one class name that is no CLDR name: emoji know only kinds of truck."""
    truck = {
        "name": "truck",
        "kind": _THING,
        "group": "transport-ground",
    }
    return _row(truck, _drawings(tables, "truck", ()), [])


def _draw_kept_out(rows: Sequence[Row]) -> list[str]:
    """Draw the concepts to keep out: things whose name shares no word with another concept's."""
    words = Counter(word for row in rows for word in _words(row["name"]))
    eligible = []
    for row in rows:
        alone = all(words[word] == 1 for word in _words(row["name"]))
        hands = [one for one in COLOUR_HANDS if one in row["drawings"]]
        free = row["class"] is None and row["name"] not in _WELL_KNOWN
        if row["kind"] == _THING and free and alone and len(hands) >= _LEAST_HANDS_KEPT_OUT:
            eligible.append(row["name"])
    order = np.random.default_rng(SEED).permutation(len(eligible))
    return [eligible[number] for number in order[:KEPT_OUT]]


def _words(name: str) -> set[str]:
    return set(name.split()) - _SMALL_WORDS


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the list from the command line."""
    parser = argparse.ArgumentParser(prog="python -m dife_scanner.lab.pictures.world_selection")
    parser.add_argument(
        "--art", type=Path, required=True, help="drawing sets; fetched with npm when missing"
    )
    given = parser.parse_args(arguments)
    rows = select(given.art)
    lines = ",\n".join(json.dumps(_written(row)) for row in rows)
    head = json.dumps({"names": f"{NAMES_PACKAGE} {NAMES_VERSION}", "seed": SEED})[1:-1]
    text = f'{{{head},\n"concepts": [\n{lines}\n]}}\n'
    world_file().write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
