"""Which drawing stands in which split of the probe set, and which ones stand on the scene sheet.

Splits are by design: `test` holds designs of sets that no base ever trained on; `train` and `diagnosis` hold other
designs; `lab` holds drawings of training sets, none of them in `diagnosis` or `test`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dife_scanner.lab.pictures import art

SEED = 20
TEST_DRAWINGS, TRAIN_DRAWINGS, DIAGNOSIS_DRAWINGS = 16, 8, 5
"""At most, per class."""
LEAST_TEST_DRAWINGS = 12
"""Below this, more monochrome drawings and second finishes fill the class up."""
MONO_TEST_DRAWINGS = 2
"""At most so many monochrome drawings per class in `test`, where there are enough others."""
LAB_DRAWINGS, LAB_OTHERS = 24, 48
"""Per class, and of other concepts in all."""
LAB_OTHER_SETS = ("noto", "twemoji")
"""Sets that the lab sheet's other concepts are taken from."""
SCENE_FINISHES = 2
"""Drawings of each other concept on the scene sheet, each from another held-out set."""

_TEST_ORDER = (
    "emojione",
    "fluent-emoji",
    "noto-v1",
    "game-icons",
    "icon-park",
    "tabler",
    "lucide-lab",
    "fluent-emoji-high-contrast",
    "emojione-monotone",
)
_TRAIN_ORDER = (
    "noto",
    "twemoji",
    "streamline-emojis",
    "fxemoji",
    "ph",
    "fa6-solid",
    "mdi",
    "mingcute",
    "streamline-kameleon-color",
    "openmoji",
    "emojione-v1",
)

_SCENE_SETS = ("emojione", "fluent-emoji", "noto-v1")
"""Held-out colour sets that other concepts of scenes are taken from."""
_SCENE_CONCEPTS = """
anchor backpack balloon banana basketball bathtub bed bell bicycle birthday-cake bomb briefcase butterfly cactus
camera candle castle christmas-tree church cloud cookie crab crayon crocodile crown deciduous-tree dolphin door
doughnut dress drum eggplant elephant envelope evergreen-tree factory ferris-wheel fish flashlight fountain-pen
ghost green-apple guitar hamburger hammer handbag hospital hot-pepper hotel house key koala lemon light-bulb
lipstick lollipop maple-leaf megaphone microphone microscope mobile-phone monkey mountain mushroom necktie newspaper
octopus package palm-tree panda peach pear pencil pig pineapple pizza printer rabbit radio rainbow red-apple ring
robot rose running-shoe saxophone school shield snail snake snowflake snowman soccer-ball spider strawberry sunflower
telephone telescope television tent tomato trophy trumpet tulip turtle umbrella violin volcano watch watermelon whale
wrench
"""
"""Things one can count and name in a caption; nothing that flies, drives or floats, so that no scene shows a class by
accident."""


@dataclass(frozen=True)
class Splits:
    """Drawings of the ten classes by split."""

    test: list[art.Drawing]
    train: list[art.Drawing]
    diagnosis: list[art.Drawing]
    lab: list[art.Drawing]

    @property
    def sets(self) -> set[str]:
        """The drawing sets of all splits."""
        every = [*self.test, *self.train, *self.diagnosis, *self.lab]
        return {drawing.set_name for drawing in every}


def split(
    drawings: Sequence[art.Drawing],
    share_alike: frozenset[str],
) -> Splits:
    """Assign drawings to splits, class by class, in a fixed order; sets in `share_alike` come last."""
    out = Splits([], [], [], [])
    for cls in art.CLASSES:
        own = [drawing for drawing in drawings if drawing.cls == cls]
        held_out = [drawing for drawing in own if drawing.spec.held_out]
        out.test.extend(_test(held_out))
        others = [drawing for drawing in own if not drawing.spec.held_out]
        free = [drawing for drawing in others if drawing.set_name not in share_alike]
        bound = [drawing for drawing in others if drawing.set_name in share_alike]
        train, diagnosis = _train_and_diagnosis(free, bound)
        out.train.extend(train)
        out.diagnosis.extend(diagnosis)
        out.lab.extend(_lab(free, train, diagnosis))
    return out


def _test(held_out: list[art.Drawing]) -> list[art.Drawing]:
    """Choose distinct designs, few monochrome ones; more monochrome and second finishes only to fill up."""
    designs = _one_per_design(_in_turn(held_out, _TEST_ORDER))
    mono = [drawing for drawing in designs if drawing.mono]
    too_many = mono[MONO_TEST_DRAWINGS:]
    chosen = [drawing for drawing in designs if drawing not in too_many]
    rest = [drawing for drawing in designs if drawing not in chosen]
    rest += [drawing for drawing in held_out if drawing not in designs]
    missing = max(0, LEAST_TEST_DRAWINGS - len(chosen))
    return (chosen + rest[:missing])[:TEST_DRAWINGS]


def _train_and_diagnosis(
    free: list[art.Drawing],
    bound: list[art.Drawing],
) -> tuple[list[art.Drawing], list[art.Drawing]]:
    """Choose a class's designs for both splits; share-alike ones (`bound`) only where there are too few others."""
    wanted = TRAIN_DRAWINGS + DIAGNOSIS_DRAWINGS
    pool = _one_per_design(_in_turn(free, _TRAIN_ORDER))
    if len(pool) < wanted:
        pool += _one_per_design(_in_turn(bound, _TRAIN_ORDER))
    return _deal(pool[:wanted])


def _lab(
    free: list[art.Drawing],
    train: list[art.Drawing],
    diagnosis: list[art.Drawing],
) -> list[art.Drawing]:
    """Choose a class's drawings for the lab sheet: no design of `diagnosis`; share-alike ones of `train` first."""
    apart = {drawing.design for drawing in diagnosis}
    lab = [drawing for drawing in _in_turn(free, _TRAIN_ORDER) if drawing.design not in apart]
    extra = [drawing for drawing in train if drawing not in lab]
    return [*extra, *lab][:LAB_DRAWINGS]


def _in_turn(
    drawings: Sequence[art.Drawing],
    order: Sequence[str],
) -> list[art.Drawing]:
    """Take the sets in turn, each shuffled in itself."""
    rng = np.random.default_rng(SEED)
    queues = []
    for name in order:
        own = [drawing for drawing in drawings if drawing.set_name == name]
        own.sort(key=lambda drawing: drawing.name)
        queues.append([own[row] for row in rng.permutation(len(own))])
    longest = max((len(queue) for queue in queues), default=0)
    found = []
    for turn in range(longest):
        for queue in queues:
            if turn < len(queue):
                found.append(queue[turn])
    return found


def _one_per_design(drawings: Iterable[art.Drawing]) -> list[art.Drawing]:
    """Keep the first drawing of each design."""
    first: dict[str, art.Drawing] = {}
    for drawing in drawings:
        first.setdefault(drawing.design, drawing)
    return list(first.values())


def _deal(
    pool: list[art.Drawing],
) -> tuple[list[art.Drawing], list[art.Drawing]]:
    """Deal five of every thirteen to diagnosis, spread over the order so that both sides see every set."""
    both = TRAIN_DRAWINGS + DIAGNOSIS_DRAWINGS
    wanted = round(len(pool) * DIAGNOSIS_DRAWINGS / both)
    chosen = {round((number + 0.5) * len(pool) / wanted - 0.5) for number in range(wanted)}
    train: list[art.Drawing] = []
    diagnosis: list[art.Drawing] = []
    for number, drawing in enumerate(pool):
        side = diagnosis if number in chosen else train
        side.append(drawing)
    return train, diagnosis


def lab_others(art_folder: Path) -> list[art.Drawing]:
    """Choose the other concepts on the lab sheet."""
    others = []
    for drawing in art.other_drawings(art_folder):
        if drawing.set_name in LAB_OTHER_SETS:
            others.append(drawing)
    rng = np.random.default_rng(SEED)
    picked = rng.permutation(len(others))[:LAB_OTHERS]
    return [others[number] for number in sorted(picked)]


def scene_others(art_folder: Path) -> list[art.Drawing]:
    """Choose `SCENE_FINISHES` drawings of every scene concept, taking the sets in turn."""
    by_set = {name: art.by_key(art_folder, name) for name in _SCENE_SETS}
    drawings = []
    for number, concept in enumerate(_SCENE_CONCEPTS.split()):
        key = art.key_of(concept)
        turn = number % len(_SCENE_SETS)
        in_turn = (*_SCENE_SETS[turn:], *_SCENE_SETS[:turn])
        having = [one for one in in_turn if key in by_set[one]]
        for set_name in having[:SCENE_FINISHES]:
            name, svg = by_set[set_name][key]
            term = concept.replace("-", " ")
            drawings.append(art.Drawing(set_name, name, svg, None, term))
    return drawings
