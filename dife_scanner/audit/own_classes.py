"""What a base recognises of somebody's own classes, among as many names as the bundled set has.

Of two classes, half of the pictures are taken for their own by a base that knows neither. So where there are fewer than
the ten bundled classes, names of these stand beside them as rivals.
"""

from __future__ import annotations

from dife_scanner.audit import probes
from dife_scanner.audit.plan import Plan
from dife_scanner.audit.populations import class_names, words
from dife_scanner.audit.sides import Side
from dife_scanner.core import metrics
from dife_scanner.core.directions import Directions
from dife_scanner.core.metrics import Floats
from dife_scanner.core.recognition import recognition
from dife_scanner.errors import MeasurementError
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Recognition

FEWEST_NAMES = 10
_TEMPLATES = (*probes.SEARCH_TEMPLATES, *probes.DIAGNOSIS_TEMPLATES, *probes.PROFILE_TEMPLATES)
"""Those that every audit reads."""


def check_names(plan: Plan, encoder: Encoder, who: str) -> None:
    """Check that a checkpoint reads every prompt of somebody's own classes whole, and no two names as the same tokens.

    Encoders cut what is too long and say nothing; letters that a tokenizer does not know all become one token. Raises
    `MeasurementError`.
    """
    if plan.pictures is None:
        return
    first: dict[tuple[int, ...], str] = {}
    for name in plan.probes().class_names:
        shown = class_names.shown(name)
        longest = max(encoder.token_count(template.format(name)) for template in _TEMPLATES)
        if longest > encoder.context_length:
            raise MeasurementError(
                f"the class {shown} makes a prompt of {longest} tokens, and {who} reads {encoder.context_length}",
                "give the class a shorter name",
            )
        ids = tuple(encoder.tokenizer.encode(name))
        if ids in first:
            raise MeasurementError(
                f"{who} reads the classes {first[ids]} and {shown} as the same tokens",
                "give them names in words that it was taught",
            )
        first[ids] = shown


def recognition_among(side: Side) -> Recognition:
    """Which classes are recognised among about `FEWEST_NAMES` or more; no rival means the same as a class."""
    own = side.class_names
    if len(own) >= FEWEST_NAMES:
        return side.recognition
    names = (*own, *_others(own))
    prompts = _prompts(side, names)
    directions = Directions.of(names, prompts)
    kept = list(range(len(own)))
    for place in range(len(own), len(names)):
        if not any(directions.mean_the_same(names[place], name) for name in own):
            kept.append(place)
    scores = metrics.cosines(side.images, prompts[kept])
    split = side.split
    among = [names[place] for place in kept]
    return recognition(scores, split.labels, among, split.styles, only=own)


def _others(own: tuple[str, ...]) -> list[str]:
    """Bundled classes that no class here is a word for."""
    taken = {words.canonical(name) for name in own}
    return [name for name in probes.class_names(probes.bundled_folder()) if name not in taken]


def _prompts(side: Side, names: tuple[str, ...]) -> Floats:
    """Class prompts [c, d] under the side's templates."""
    texts = [template.format(name) for template in side.templates for name in names]
    return metrics.class_prompts(side.encoder.encode_texts(texts), len(names))
