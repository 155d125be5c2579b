"""Prompt learners: read strictly, computed as CoOp and CoCoOp define them, and embedded by a real text tower."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save

from dife_scanner.errors import (
    AuditError,
    LimitExceeded,
    Refused,
    TriggerFileError,
    Unreadable,
)
from dife_scanner.triggers import learner
from dife_scanner.triggers.learner import MetaNetwork, PromptLearner


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def conditioned() -> PromptLearner:
    return PromptLearner(
        values(4, 32), MetaNetwork(values(3, 48), values(3), values(32, 3), values(32)), "{}"
    )


@pytest.mark.parametrize(
    "made", [PromptLearner(values(4, 32)), conditioned()], ids=["plain", "conditioned"]
)
def test_a_saved_learner_reads_back_value_for_value(tmp_path, made):
    path = tmp_path / "learner.safetensors"
    back = learner.of(learner.save(made, path))
    embeddings = values(5, 48, seed=1)
    np.testing.assert_array_equal(back.contexts(embeddings), made.contexts(embeddings))
    assert (
        back.contexts(embeddings).shape == (5, 4, 32)
        and back.contexts(embeddings).dtype == np.float32
    )
    assert (back.template, back.conditioned) == (made.template, made.conditioned)
    assert back.texts(["cat", "dog"]) == tuple(
        made.template.replace("{}", name) for name in ("cat", "dog")
    )


def test_a_meta_network_shifts_every_vector_as_torch_computes_it():
    import torch

    made, embeddings = conditioned(), values(5, 48, seed=1)
    meta = made.meta
    net = torch.nn.Sequential(torch.nn.Linear(48, 3), torch.nn.ReLU(), torch.nn.Linear(3, 32))
    names = ("0.weight", "0.bias", "2.weight", "2.bias")
    weights = (meta.weight_1, meta.bias_1, meta.weight_2, meta.bias_2)
    net.load_state_dict(
        {name: torch.from_numpy(value) for name, value in zip(names, weights, strict=True)}
    )
    with torch.no_grad():
        expected = torch.from_numpy(made.context)[None] + net(torch.from_numpy(embeddings))[:, None]
    np.testing.assert_allclose(made.contexts(embeddings), expected.numpy(), atol=1e-5)
    alone = np.concatenate([made.contexts(row[None]) for row in embeddings])
    np.testing.assert_array_equal(made.contexts(embeddings), alone)
    assert made.contexts(values(0, 48)).shape == (0, 4, 32)
    with pytest.raises(AuditError, match="48 values and this model's have 40"):
        made.contexts(values(2, 40))


META = {"meta.1.weight": values(3, 48), "meta.1.bias": values(3), "meta.2.weight": values(32, 3),
        "meta.2.bias": values(32)}  # fmt: skip
CTX = {"ctx": values(4, 32)}


@pytest.mark.parametrize(
    ("tensors", "metadata", "words"),
    [
        ({"other": values(4, 32)}, {}, "not a prompt learner: it holds 'other'"),
        (CTX | {"spare": values(1)}, {}, "not a prompt learner"),
        (CTX | {"meta.1.weight": META["meta.1.weight"]}, {}, "not a prompt learner"),
        ({"ctx": values(32)}, {}, r"shape \[32\]"),
        ({"ctx": values(65, 32)}, {}, r"shape \[65, 32\]"),
        ({"ctx": values(4, 32).astype(np.float64)}, {}, "stored as F64"),
        ({"ctx": np.full((4, 32), np.inf, np.float32)}, {}, "NaN or infinite"),
        (CTX | META | {"meta.2.bias": np.full(32, np.nan, np.float32)}, {}, "NaN or infinite"),
        (CTX | META | {"meta.2.weight": values(3, 32)}, {}, "do not fit vectors of 32 values"),
        (CTX | META | {"meta.1.weight": values(48)}, {}, "do not fit"),
        (CTX, {"template": "{0.__class__}"}, "template"),
        (CTX, {"template": "a photo"}, "template"),
        (CTX, {"template": "{}" + "a" * 90}, "template"),
    ],
)
def test_a_file_that_is_no_learner_is_called_that_by_name(tmp_path, tensors, metadata, words):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(save(tensors, metadata=metadata))
    with pytest.raises(Unreadable, match=words) as raised:
        learner.read(path)
    assert "bad.safetensors" in raised.value.what


def test_half_precision_is_read_and_other_bytes_are_not(tmp_path):
    path = tmp_path / "learner.safetensors"
    path.write_bytes(save({"ctx": values(4, 32).astype(np.float16)}))
    assert learner.read(path).context.dtype == np.float32
    for raw, words in (
        (b"\x80\x04pickle-", "pickle"),
        (save(CTX)[:-1], "truncated"),
        (save(CTX) + b"\0", "over-long"),
    ):
        path.write_bytes(raw)
        with pytest.raises((Refused, Unreadable), match=words):
            learner.read(path)
    header = json.dumps(
        {
            f"t{i}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]}
            for i in range(9)
        }
    )
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + b"\0" * 36)
    with pytest.raises(LimitExceeded, match="more than 8 tensors"):
        learner.read(path)
    with pytest.raises(TriggerFileError, match="is not there"):
        learner.read(tmp_path / "gone.safetensors")


# --- with a real text tower -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    from checkpoints import TINY_VIT, write_checkpoint

    from dife_scanner.models.load import load

    return load(write_checkpoint(tmp_path_factory.mktemp("tiny"), TINY_VIT))


def test_a_learner_and_an_encoder_give_one_prompt_per_picture_and_class(encoder):
    made = conditioned()
    images = encoder.encode_images(
        np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    )
    contexts = np.repeat(made.contexts(images), 2, axis=0)
    found = encoder.encode_with_context(contexts, made.texts(["cat", "dog"]) * 3)
    assert found.shape == (6, 48)
    assert len(np.unique(found.round(4), axis=0)) == 6


def test_a_trigger_that_outgrows_the_context_is_an_error_whatever_its_kind_and_place(encoder):
    from dife_scanner.audit.sides import Side
    from dife_scanner.records import Trigger, TriggerKind

    split = SimpleNamespace(images=np.zeros((1, 32, 32, 3), np.uint8))
    side = Side(encoder, split, ("cat", "automobile"), ("a photo of a {}",))
    long = " ".join(["word"] * 10)
    assert encoder.token_count(f"a photo of a cat {long}") == 17
    side.texts_for("cat", Trigger("fits", TriggerKind.TEXT, text=long[:-5], position="suffix"))
    triggers = [
        Trigger(position, TriggerKind.TEXT, text=long, position=position)
        for position in ("prefix", "suffix", "infix")
    ]
    triggers.append(
        Trigger(
            "characters",
            TriggerKind.CHARACTERS,
            pairs=(("a", "ѕѕѕѕ"), ("o", "ѕѕѕѕ"), ("t", "ѕѕѕѕ")),
        )
    )
    for trigger in triggers:
        with pytest.raises(AuditError, match="tokens"):
            side.texts_for("automobile", trigger)
        with pytest.raises(AuditError, match="tokens"):
            side.prompts_with(trigger)


def test_a_memory_keeps_contexts_apart_from_texts_and_encodes_each_once(encoder):
    from dife_scanner.audit.cache import CachedEncoder, Memory

    memory = Memory()
    cached = CachedEncoder(encoder, memory)
    one, two = values(2, 32), values(2, 32, seed=5)
    contexts = np.stack([one, two, one, one])
    texts = ["cat.", "cat.", "cat.", "dog."]
    found = cached.encode_with_context(contexts, texts)
    np.testing.assert_allclose(found, encoder.encode_with_context(contexts, texts), atol=1e-6)
    assert memory.performed == memory.distinct == 3
    cached.encode_with_context(contexts[::-1], texts[::-1])
    assert memory.performed == 3
    assert not np.allclose(cached.encode_texts(["cat."])[0], found[0])
    assert memory.performed == 4 and cached.text_width == 32
