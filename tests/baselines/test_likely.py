"""Which base a checkpoint was made from: weights first, then card, adapter, configuration and name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dife_scanner.baselines.likely import By, Likely, claims, expanded, likely
from dife_scanner.baselines.registry import Base, shipped
from dife_scanner.hub.claims import base_claims
from dife_scanner.models.likeness import UNTOLD, Likeness
from dife_scanner.records import BaseClaim, ModelRef

OPENAI, LAION = "openai/clip-vit-base-patch32", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
XL = "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K"
B32 = "ViT 224/32 w768 d12 · text w512 d12 · embed 512"
STRANGER = Likeness(0.0, 0.0, 1.4)


def of(name: str = "someone/clip") -> ModelRef:
    return ModelRef(name, "a" * 40)


def near(name: str) -> Callable[[Base], Likeness]:
    """Weights that come from one base and from no other."""
    return lambda base: Likeness(0.99, 0.99, 0.05) if base.name == name else STRANGER


def card(name: str) -> BaseClaim:
    return BaseClaim(name, "finetune", "card")


def found(*stated: BaseClaim, measure: Callable[[Base], Likeness] | None = None) -> Likely:
    return likely(shipped(), of(), stated, B32, measure)


def test_weights_say_it_whatever_the_card_says_and_the_contradiction_is_told() -> None:
    made = found(card(LAION), measure=near(OPENAI))
    assert made.base and (made.base.name, made.by) == (OPENAI, By.WEIGHTS)
    assert made.notes == (
        f"its card names {LAION} as its base; its weights are nearer to those of {OPENAI}",
    )
    assert found(card(OPENAI), measure=near(OPENAI)).notes == ()


def test_without_weights_the_card_goes_before_adapter_and_configuration() -> None:
    twin = "timm/vit_base_patch32_clip_224.openai"
    stated = (
        BaseClaim(LAION, "", "config.json"),
        BaseClaim(twin, "adapter", "adapter_config.json"),
    )
    made = found(*stated)
    assert made.base and (made.base.name, made.by) == (OPENAI, By.ADAPTER)
    made = found(*stated, card("facebook/metaclip-b32-400m"))
    assert made.base and (made.base.name, made.by) == ("facebook/metaclip-b32-400m", By.CARD)


def test_a_claim_that_the_weights_do_not_support_is_followed_and_said() -> None:
    """A rewritten copy looks unrelated value for value: whole embeddings decide, once the base is here."""
    made = found(card(OPENAI), measure=lambda base: STRANGER)
    assert made.base and made.base.name == OPENAI and made.is_worth_fetching
    assert "unrelated" in made.notes[0]


def test_a_guess_is_named_and_not_fetched() -> None:
    made = found()
    assert made.base and (made.base.name, made.by) == (OPENAI, By.ARCHITECTURE)
    assert not made.is_worth_fetching
    assert found(measure=lambda base: STRANGER) == Likely()


def test_nothing_is_its_own_proof() -> None:
    """A published base is compared with its other repository, never with itself."""
    own = likely(shipped(), of("openai/clip-vit-base-patch32"), (), B32)
    assert own.base and own.by is By.ITSELF
    assert [place.repository for place in own.base.places] == [
        "timm/vit_base_patch32_clip_224.openai"
    ]
    only = likely(shipped(), of(LAION), (), "", lambda base: UNTOLD)
    assert only.base is None


def test_a_base_that_is_not_read_is_named_with_why() -> None:
    made = likely(
        shipped(), of(), (card("timm/eva02_base_patch16_clip_224.merged2b_s8b_b131k"),), ""
    )
    assert made.base and not made.is_worth_fetching
    assert "its image tower is an EVA" in made.notes[0]


def test_a_reference_of_a_claimed_alias_is_found_by_its_name_here() -> None:
    assert expanded(shipped(), (card("ViT-B-32:openai"),)).endswith(", clip-vit-base-patch32")
    assert expanded(shipped(), (card("a/b"),)) == "a/b"


# --- what public pages look like ------------------------------------------------------------------------------

ROWS = [
    ("user/clip", "base_model:openai/clip-vit-base-patch32", {}, OPENAI),
    ("user/clip", "base_model:finetune:openai/clip-vit-base-patch16", {}, "openai/clip-vit-base-patch16"),
    ("user/x", "", {"config.json": "openai/clip-vit-large-patch14-336"}, "openai/clip-vit-large-patch14-336"),
    ("user/x", "", {"text_encoder/config.json": "openai/clip-vit-large-patch14"}, "openai/clip-vit-large-patch14"),
    ("user/x", "", {"adapter_config.json": "openai/clip-vit-base-patch16"}, "openai/clip-vit-base-patch16"),
    ("user/x", "", {"config.json": XL}, XL),
    ("user/CLIP-ViT-L-14-laion2B-s32B-b82K", "", {}, "laion/CLIP-ViT-L-14-laion2B-s32B-b82K"),
    ("user/CLIP-ViT-bigG-14-laion2B-39B-b160k-sft", "", {}, "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"),
    ("user/siglip-base-patch16-224", "", {}, "google/siglip-base-patch16-224"),
    ("user/clip-vit-large-patch14", "", {}, "openai/clip-vit-large-patch14"),
    ("timm/vit_base_patch16_clip_224.metaclip_400m", "", {}, "facebook/metaclip-b16-400m"),
    ("user/x", "base_model:timm/ViT-L-16-SigLIP-256", {}, "google/siglip-large-patch16-256"),
]  # fmt: skip
"""Rows of public listings: name, tag, what a configuration names, and the base that is evident."""


@pytest.mark.parametrize(("name", "tag", "files", "base"), ROWS)
def test_the_evident_base_of_a_public_listing_is_named(
    name: str, tag: str, files: dict[str, str], base: str
) -> None:
    small = {}
    for path, named in files.items():
        key = "base_model_name_or_path" if path == "adapter_config.json" else "_name_or_path"
        small[path] = {key: named}
    made = claims(shipped(), of(name), base_claims(name, [tag], small))
    assert made[0].base.name == base
