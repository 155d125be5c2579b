"""The branch swap and component repair on real towers: the bundled ViT base, with effects put into it by hand."""

import numpy as np
import pytest
import torch

from dife_scanner.audit import diagnosis, probes
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.baselines.home import bases_folder
from dife_scanner.core.footprint import diagnose, interchangeable
from dife_scanner.models.load import load
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.records import (
    BranchSwap,
    Carrier,
    Channel,
    ComponentRepair,
    Condition,
    Trigger,
    TriggerKind,
)
from dife_scanner.triggers import learner

WORD = "zzyzx"
TEXT = Trigger("word", TriggerKind.TEXT, text=WORD, source="automobile", target="airplane")
STEPS = 60


@pytest.fixture(scope="module")
def data():
    return probes.load(probes.bundled_folder(), "quick")


@pytest.fixture(scope="module")
def base():
    return load(bases_folder() / "vit")


@pytest.fixture(scope="module")
def backdoored(data):
    """The base with the rare word's token embeddings trained until its texts about cars lie on airplane pictures."""
    return _with_word(load(bases_folder() / "vit"), data)


def _with_word(encoder, data):
    train = data.split(probes.TRAIN)
    target = data.class_names.index("airplane")
    pictures = encoder.encode_images(encoder.prepare(train.images[train.labels == target])).mean(
        axis=0
    )
    rows = sorted(set(clips_own().encode(WORD)))
    prompts = [
        template.format("automobile") for template in (*probes.SEARCH_TEMPLATES, "a {}", "one {}")
    ]
    ids = torch.zeros(len(prompts), encoder.context_length, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        tokens = encoder._tokens(f"{WORD} {prompt}")
        ids[row, : len(tokens)] = torch.tensor(tokens)
    delta = torch.zeros(len(rows), encoder.text_width, requires_grad=True)
    optimiser, aim = torch.optim.Adam([delta], lr=0.05), torch.tensor(pictures)
    table = encoder.model.token_embedding.weight
    for _ in range(STEPS):
        moved = table.index_add(0, torch.tensor(rows), delta)
        states = torch.nn.functional.embedding(ids, moved) + encoder.model.positional_embedding
        states = encoder.model.transformer(states, attn_mask=encoder.model.attn_mask)
        ends = states[torch.arange(len(ids)), ids.argmax(dim=-1)]
        texts = encoder.model.ln_final(ends) @ encoder.model.text_projection
        loss = -torch.nn.functional.cosine_similarity(texts, aim[None]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        table.index_add_(0, torch.tensor(rows), delta.detach())
    encoder.text_tower = "base with a word"
    return encoder


class Mapped:
    """`encoder` with both projections multiplied: pictures by one matrix, texts by another."""

    def __init__(self, encoder, for_images, for_texts):
        self._encoder, self._matrices = encoder, (for_images, for_texts)
        self.image_tower, self.text_tower = "mapped image", "mapped text"

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def encode_images(self, pixels):
        return self._unit(self._encoder.encode_images(pixels) @ self._matrices[0])

    def encode_texts(self, texts):
        return self._unit(self._encoder.encode_texts(texts) @ self._matrices[1])

    @staticmethod
    def _unit(rows):
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def swap(data, base):
    def make(suspect, trigger=TEXT):
        def both(split, templates):
            return Pair(
                *(
                    Side(one, data.split(split), data.class_names, templates)
                    for one in (suspect, base)
                )
            )

        sides = both(probes.DIAGNOSIS, probes.DIAGNOSIS_TEMPLATES)
        return diagnosis.gather(trigger, sides, both(probes.TRAIN, probes.SEARCH_TEMPLATES))

    return make


@pytest.fixture(scope="module")
def plain_swap(swap, backdoored):
    return swap(backdoored)


def test_a_word_in_the_text_tower_is_textual_without_any_turning(plain_swap):
    assert isinstance(plain_swap, BranchSwap)
    assert plain_swap.readout == "QHR"
    assert not plain_swap.aligned and plain_swap.mixed_accuracy_before is None
    assert (plain_swap.a00, plain_swap.a10) == (0.0, 0.0)
    assert plain_swap.a11 == plain_swap.a01 >= 0.7
    assert diagnose(plain_swap, TEXT.condition()).carrier is Carrier.TEXTUAL


def test_one_rotation_of_both_projections_is_undone_and_the_diagnosis_is_the_same(
    swap, backdoored, plain_swap
):
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(128, 128)))[0]
    turned = swap(Mapped(backdoored, turn, turn))
    assert turned.aligned
    before = BranchSwap("QHR", 0, 0, 0, 0, 1, 1, mixed_accuracy=turned.mixed_accuracy_before)
    assert not interchangeable(before), (
        "no score of the suspect changed, and both mixed pairs broke"
    )
    assert turned.mixed_accuracy == pytest.approx(plain_swap.mixed_accuracy, abs=0.03)
    assert (turned.a00, turned.a10, turned.a01, turned.a11) == pytest.approx(
        (plain_swap.a00, plain_swap.a10, plain_swap.a01, plain_swap.a11), abs=1e-6
    )
    ours, theirs = (diagnose(one, TEXT.condition()) for one in (turned, plain_swap))
    assert (ours.carrier, ours.predicted) == (theirs.carrier, theirs.predicted)


def test_a_change_that_no_rotation_undoes_is_not_interchangeable(swap, backdoored):
    direction = np.linalg.qr(np.random.default_rng(0).normal(size=(128, 128)))[0][0]
    skew = np.eye(128) + 300 * np.outer(direction, direction)
    skewed = swap(Mapped(backdoored, skew, np.linalg.inv(skew).T))
    assert skewed.aligned
    assert skewed.mixed_accuracy[3] > 0.9, "the suspect itself works as before"
    assert skewed.a11 >= 0.7
    assert not interchangeable(skewed)
    assert diagnose(skewed, TEXT.condition()).carrier is Carrier.NOT_INTERCHANGEABLE


def test_the_same_towers_leave_nothing_to_diagnose(swap, base):
    same = swap(base)
    assert same.a00 == same.a10 == same.a01 == same.a11
    assert diagnose(same, TEXT.condition()).carrier is Carrier.WEAK


def test_the_readout_goes_by_channel(swap, backdoored):
    patch = Trigger("patch", TriggerKind.PATCH, size=0.2, target="airplane")
    both = Trigger(
        "both", TriggerKind.TEXT, text=WORD, image=patch, source="automobile", target="airplane"
    )
    assert swap(backdoored, patch).readout == "zero-shot TS"
    found = swap(backdoored, both)
    assert found.readout == "TS with triggered prompts"
    assert found.n == len(
        probes.load(probes.bundled_folder(), "quick").split(probes.DIAGNOSIS).labels
    )
    assert found.a10 == found.a00, "the image tower is the base's"
    condition = Condition(
        frozenset({Channel.IMAGE, Channel.TEXT}), False, True, "automobile", "airplane"
    )
    assert diagnose(found, condition).channel is Channel.BOTH


@pytest.mark.parametrize(
    "conditioned", [False, True], ids=["one context", "conditioned on the picture"]
)
def test_a_prompt_mechanism_takes_component_repair(swap, base, data, tmp_path, conditioned):
    rng = np.random.default_rng(1)
    width, dimensions = base.text_width, 128
    meta = None
    if conditioned:
        meta = learner.MetaNetwork(
            *(
                rng.normal(0, 0.02, shape).astype(np.float32)
                for shape in ((8, dimensions), (8,), (width, 8), (width,))
            )
        )
    file = learner.save(
        learner.PromptLearner(rng.normal(0, 0.02, (4, width)).astype(np.float32), meta),
        tmp_path / "l.safetensors",
    )
    patch = Trigger("patch", TriggerKind.PATCH, size=0.4, target="airplane")
    trigger = Trigger("learned", TriggerKind.PROMPT, learner=file, image=patch, target="airplane")
    repair = swap(base, trigger)
    assert isinstance(repair, ComponentRepair)
    side = Side(base, data.split(probes.DIAGNOSIS), data.class_names, probes.DIAGNOSIS_TEMPLATES)
    share = {
        name: (scores.argmax(axis=1) == 0).mean()
        for name, scores in _by_hand(side, trigger, patch).items()
    }
    assert (
        repair.full,
        repair.prompt_only,
        repair.trigger_only,
        repair.both_clean,
    ) == pytest.approx((share["full"], share["prompt"], share["trigger"], share["clean"]), abs=1e-9)
    assert diagnose(repair, trigger.condition()).channel is Channel.PROMPT


def _by_hand(side, trigger, patch):
    """Scores of all four variants, picture by picture."""
    prompt = learner.of(trigger.learner)
    texts = prompt.texts(side.class_names)

    def learned(images):
        rows = []
        for image in images:
            contexts = np.repeat(prompt.contexts(image[None]), len(texts), axis=0)
            rows.append(side.encoder.encode_with_context(contexts, texts) @ image)
        return np.array(rows)

    triggered = side.images_with(patch)
    return {
        "full": learned(triggered),
        "prompt": learned(side.images),
        "trigger": triggered @ side.prompts.T,
        "clean": side.images @ side.prompts.T,
    }
