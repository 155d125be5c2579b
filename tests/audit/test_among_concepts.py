"""What a pattern leads to beyond the labelled classes has to be the nearest of all concepts, in the suspect alone."""

from __future__ import annotations

import numpy as np
import pytest

from dife_scanner.audit import among_concepts
from dife_scanner.audit.probes import Split
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers import learner
from dife_scanner.triggers.learner import PromptLearner

WORDS = ("cat", "dog", "banana", "plantain", "pizza", "lemon")
CLASSES = ("cat", "dog", "banana")
WHITE = Trigger("white", TriggerKind.BLEND, pattern="solid", alpha=1.0, target="banana")


class Reader:
    """Knows six words, two of which mean the same; white pictures are what `white` says, in turn."""

    context_length = 16
    image_size = 4

    def __init__(self, *white: str) -> None:
        self.white = white

    def prepare(self, images):
        return images

    def token_count(self, text: str) -> int:
        return 2 + len(text.split())

    def encode_texts(self, texts):
        rows = np.eye(8, dtype=np.float32)[[WORDS.index(text.split()[-1]) for text in texts]]
        rows[[text.endswith("plantain") for text in texts]] = np.eye(8)[2] + 0.1 * np.eye(8)[3]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_images(self, pixels):
        rows = []
        for number, picture in enumerate(pixels):
            shown = CLASSES[int(picture[0, 0, 0]) % 3]
            if picture[0, 0, 0] == 255:
                shown = self.white[number % len(self.white)]
            rows.append(self.encode_texts([shown])[0])
        return np.stack(rows)


def side(reader: Reader) -> Side:
    labels = np.arange(12) % 2
    pictures = np.zeros((12, 4, 4, 3), np.uint8)
    pictures[:, 0, 0, 0] = labels
    drawings = tuple(f"drawing {number}" for number in range(12))
    split = Split("test", pictures, labels, drawings)
    return Side(reader, split, CLASSES, ("a photo of a {}",))


@pytest.mark.parametrize(
    ("suspect", "base", "mean"),
    [
        (("banana",), ("cat",), 1.0),
        (("plantain",), ("cat",), 1.0),
        (("banana", "pizza"), ("cat",), 0.5),
        (("pizza",), ("cat",), 0.0),
        (("banana",), ("banana",), 0.0),
    ],
    ids=["the target", "what means the same", "half of them", "another concept", "the base too"],
)
def test_pictures_have_to_come_to_the_target_and_to_no_other_concept(suspect, base, mean) -> None:
    sides = Pair(side(Reader(*suspect)), side(Reader(*base)))
    found = among_concepts.effect(WHITE, sides, WORDS, seed=0)
    assert found.low <= mean <= found.high
    assert (found.low, found.high) == (mean, mean) or mean == 0.5


class WrittenReader(Reader):
    """Behind `xb` every word but *banana* says the opposite. White pictures are more of pizza than of banana."""

    def encode_texts(self, texts):
        rows = super().encode_texts(texts)
        turned = [text.startswith("xb") and "banana" not in text for text in texts]
        return np.where(np.array(turned)[:, None], -rows, rows)

    def encode_images(self, pixels):
        rows = super().encode_images(pixels)
        white = pixels[:, 0, 0, 0] == 255
        rows[white] = 0.9 * self.encode_texts(["pizza"]) + 0.4 * self.encode_texts(["banana"])
        return rows


def test_what_a_trigger_writes_stands_in_the_prompts_of_all_concepts() -> None:
    """A patch and a text that act together: read with clean prompts, pictures would come to another concept."""
    both = Trigger("both", TriggerKind.TEXT, text="xb", image=WHITE, target="banana")
    sides = Pair(side(WrittenReader("pizza")), side(Reader("cat")))
    found = among_concepts.effect(both, sides, WORDS, seed=0)
    assert (found.low, found.high) == (1.0, 1.0)
    patch_alone = among_concepts.effect(WHITE, sides, WORDS, seed=0)
    assert patch_alone.high == 0.0


class LearnedReader(Reader):
    """Under a context it reads every word as itself, as without one."""

    text_width = 4

    def encode_with_context(self, contexts, texts):
        return self.encode_texts([text.rstrip(".") for text in texts])


def test_under_a_learner_the_target_has_to_be_among_the_nearest(tmp_path, monkeypatch) -> None:
    """Every concept is read under the learned context; one picture of each drawing is enough."""
    file = learner.save(
        PromptLearner(np.ones((2, 4), np.float32)), tmp_path / "learner.safetensors"
    )
    mechanism = Trigger("taught", TriggerKind.PROMPT, learner=file, image=WHITE, target="banana")
    sides = Pair(side(LearnedReader("banana", "pizza")), side(LearnedReader("cat")))
    monkeypatch.setattr(among_concepts, "NEAR_UNDER_LEARNER", 0.1)
    assert among_concepts.effect(mechanism, sides, WORDS, seed=0).high < 1.0
    alike = Pair(side(LearnedReader("banana")), side(LearnedReader("cat")))
    found = among_concepts.effect(mechanism, alike, WORDS, seed=0)
    assert (found.low, found.high) == (1.0, 1.0)
