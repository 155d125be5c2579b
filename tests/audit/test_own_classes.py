"""Somebody's own pictures that no claim can rest on: each has an outcome with a name, before or after encoding."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
import pytest
from colours import NAMES, PALETTE, ColourEncoder
from PIL import Image

from dife_scanner.audit import pipeline
from dife_scanner.audit.own_classes import recognition_among
from dife_scanner.audit.populations import class_names
from dife_scanner.audit.populations.errors import DataError
from dife_scanner.audit.populations.labelled import Labelled
from dife_scanner.audit.probes import PROFILE_TEMPLATES, Split
from dife_scanner.audit.sides import Side
from dife_scanner.core import metrics
from dife_scanner.core.recognition import recognised
from dife_scanner.errors import LimitExceeded, MeasurementError
from dife_scanner.queue.failures import state_of
from dife_scanner.records import Basis, Budget, JobState, Verdict


def labelled(names, load=None, each=4):
    """Pictures of these classes, made when they are read."""
    return Labelled(
        name="mine",
        class_names=tuple(names),
        labels=np.repeat(np.arange(len(names)), each),
        ids=tuple(map(str, range(each * len(names)))),
        load=load or (lambda rows: np.zeros((len(rows), 8, 8, 3), np.uint8)),
    )


@pytest.fixture
def folder(tmp_path):
    """A folder of one's own: pictures of these colours under these names."""

    def make(names, count=8):
        rng = np.random.default_rng(1)
        for name, colour in names.items():
            (tmp_path / "mine" / name).mkdir(parents=True)
            for number in range(count):
                noisy = PALETTE[NAMES.index(colour)] + rng.normal(0, 6, (64, 64, 3))
                picture = Image.fromarray(np.clip(noisy, 0, 254).astype(np.uint8))
                picture.save(tmp_path / "mine" / name / f"{number}.png")
        return tmp_path / "mine"

    return make


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hot dog", "hot  dog"),
        ("Cat", "cat"),
        ("café", unicodedata.normalize("NFD", "café")),
        ("КОШКА", "кошка"),
    ],
)
def test_two_classes_that_a_model_reads_as_one_name_are_told(one, other) -> None:
    with pytest.raises(DataError, match="which a model reads as one name") as error:
        labelled([one, "dog", other]).probes(Budget.QUICK, 0)
    assert repr(one) in error.value.what and "rename one" in error.value.advice


def test_a_class_without_a_name_is_told() -> None:
    with pytest.raises(DataError, match="a class without a name"):
        labelled(["dog", "  "]).probes(Budget.QUICK, 0)


def test_names_in_other_scripts_are_names() -> None:
    class_names.check_apart(["кошка", "собака", "猫", "犬"], "mine")


# --- how many -------------------------------------------------------------------------------------------------


def test_ten_thousand_classes_are_refused_by_the_setting_before_a_picture_is_read() -> None:
    def read(_):
        raise AssertionError("a picture was read")

    many = labelled([f"c{number}" for number in range(10_000)], read)
    with pytest.raises(LimitExceeded, match="has 10000 classes, and at most 200") as error:
        many.check_classes(200)
    assert "limits.picture_classes" in error.value.advice
    assert state_of(error.value) is JobState.LIMIT_EXCEEDED


def test_every_source_and_target_at_once_is_measured_as_one_after_the_other() -> None:
    rng = np.random.default_rng(3)
    # Few directions, so that many scores tie.
    rows = np.eye(4)[rng.integers(0, 4, 60)]
    images, prompts, triggered = rows[:40], rows[40:50], rows[50:]
    found = metrics.each_triggered_source_wins(images, prompts, triggered)
    for source in range(len(prompts)):
        alone = metrics.triggered_source_wins(images, prompts, triggered[source], source)
        assert (found[:, source] == alone).all()
    assert len(np.unique(found)) > 4
    scores = metrics.cosines(images, prompts)
    for target in range(len(prompts)):
        assert (metrics.each_wins(scores)[:, target] == metrics.wins(scores, target)).all()


# --- what is recognised ---------------------------------------------------------------------------------------


@dataclass
class Gibberish(ColourEncoder):
    """Takes two names that it was never taught for two of its colours, as chance will have it."""

    def encode_texts(self, texts):
        rows = super().encode_texts(texts)
        for row, text in zip(rows, texts, strict=True):
            for name, lot in (("zyxglorp", "cat"), ("vrunqitl", "dog")):
                if name in text:
                    row[:] = 0.1
                    row[NAMES.index(lot)] = 0.3
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def side_of(names):
    """The held-out pictures, cat then dog, under two names."""
    pictures = np.stack([np.full((64, 64, 3), PALETTE[NAMES.index(one)]) for one in ("cat", "dog")])
    split = Split("test", pictures.astype(np.uint8), np.arange(2), ("one", "two"))
    return Side(Gibberish(), split, names, PROFILE_TEMPLATES)


def test_two_names_are_told_apart_by_chance_and_not_among_ten() -> None:
    side = side_of(("zyxglorp", "vrunqitl"))
    assert len(recognised(side.recognition.classes)) == 2
    assert recognition_among(side).classes == {"zyxglorp": 0.0, "vrunqitl": 0.0}


@pytest.mark.parametrize("names", [("cat", "dog"), ("kitten", "puppy")])
def test_no_rival_means_the_same_as_a_class(names) -> None:
    class_by_word = {"kitten": "cat", "puppy": "dog"}
    side = side_of(names)
    taught = side.encoder.encode_texts

    def read(texts):
        for word, name in class_by_word.items():
            texts = [text.replace(word, name) for text in texts]
        return taught(texts)

    side.encoder.encode_texts = read
    assert recognition_among(side).classes == dict.fromkeys(names, 1.0)


def test_pictures_of_concepts_that_no_base_knows_are_inconclusive_and_not_searched(
    request_for, folder
) -> None:
    own = folder({"zyxglorp": "cat", "vrunqitl": "dog"})
    request = request_for(signatures=(), budget="quick", pictures=own, detectors=("patch",))
    audit = pipeline.audit(Gibberish(image_tower="img-tuned"), Gibberish(), request).audit
    assert audit.verdict is Verdict.INCONCLUSIVE
    assert audit.decision.basis is Basis.CLASSES_NOT_RECOGNISED
    assert (
        "recognises 0 of 2 classes of these pictures (not vrunqitl 0.00, zyxglorp 0.00)"
        in audit.reason
    )
    assert "bring pictures of its domain (--pictures), at least two classes" in audit.reason
    assert audit.reason.endswith("Nothing was searched")
    assert not audit.searches and not audit.not_searched


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("very " * 12 + "long", "makes a prompt of 19 tokens, and its reference reads 16"),
        ("Cat!", "reads the classes 'Cat!' and 'cat' as the same tokens"),
    ],
    ids=["longer than the context", "letters that say nothing to it"],
)
def test_names_that_a_base_cannot_tell_apart_are_told_before_anything_is_searched(
    request_for, folder, monkeypatch, name, words
) -> None:
    base = ColourEncoder()
    ids = base.tokenizer.encode
    monkeypatch.setattr(base.tokenizer, "encode", lambda text: ids(text.strip("!")))
    request = request_for(
        signatures=(), budget="quick", pictures=folder({"cat": "cat", name: "dog"})
    )
    with pytest.raises(MeasurementError, match=words):
        pipeline.audit(ColourEncoder(image_tower="img-tuned"), base, request)
