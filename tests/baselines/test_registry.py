"""The registry of clean bases: its facts, its form, and what it recognises."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dife_scanner.baselines.registry import Base, Registry, registry, shipped
from dife_scanner.errors import NotFound, SettingsError
from dife_scanner.hub.architecture import described

OWN: dict[str, Any] = {
    "name": "acme/own-clip",
    "aliases": ["own:v1"],
    "places": [{"repository": "acme/own-clip", "layout": "open_clip"}],
    "source": ["https://models.example.org/own-clip"],
}


@pytest.fixture
def file_with(tmp_path: Path) -> Callable[..., Path]:
    def write(**changes: Any) -> Path:
        path = tmp_path / "bases.json"
        path.write_text(json.dumps({"version": 1, "bases": [{**OWN, **changes}]}))
        return path

    return write


def _open_clip() -> tuple[dict[str, Any], Path]:
    """The pretrained tags of the installed open_clip and the folder of its configurations, without importing torch."""
    spec = find_spec("open_clip")
    assert spec and spec.origin
    package = Path(spec.origin).parent
    text = (package / "pretrained.py").read_text(encoding="utf-8")
    return {"text": text}, package / "model_configs"


def test_every_base_that_open_clip_knows_is_one_of_its_names_with_its_architecture() -> None:
    if metadata.version("open_clip_torch") != "3.3.0":
        pytest.skip("the facts are from open_clip 3.3.0")
    found, configurations = _open_clip()
    for base in shipped().bases:
        if not base.model:
            continue
        tags = [name for name in base.aliases if name.startswith(f"{base.model}:")]
        assert tags, f"{base.name} has no tag of open_clip's"
        assert f"'{base.places[0].repository}" in found["text"].replace('"', "'"), base.name
        raw = json.loads((configurations / f"{base.model}.json").read_text())
        line = described(json.dumps({"model_cfg": raw}).encode())
        if line:
            assert base.architecture.removesuffix(" · quick_gelu") == line.removesuffix(
                " · quick_gelu"
            )


def test_every_entry_has_a_public_source_and_a_place() -> None:
    """A file with an entry without one is not read at all, so this holds for files of one's own too."""
    for base in shipped().bases:
        assert base.source and all(page.startswith("https://") for page in base.source), base.name
        assert base.places
    assert len(shipped().bases) > 140


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"source": []}, "has no source"),
        ({"places": []}, "no place"),
        ({"places": [{"repository": "a/b", "layout": "papyrus"}]}, "is no layout"),
        ({"places": [{"repository": "../b", "layout": "open_clip"}]}, "organisation/name"),
        (
            {"places": [{"repository": "a/b", "layout": "open_clip", "sha256": "ab"}]},
            "64 hexadecimal",
        ),
        ({"aliases": ["openai/clip-vit-base-patch32"]}, "two clean bases are called"),
        ({"name": "acme/clip-vit-base-patch32"}, "two clean bases are called"),
        ({"name": "own"}, "organisation/name"),
        ({"licence": "MIT"}, "unknown field"),
    ],
)
def test_a_file_of_ones_own_is_read_strictly(
    file_with: Callable[..., Path], changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(SettingsError) as error:
        registry((file_with(**changes),))
    assert why in error.value.what


def test_an_organisation_adds_bases_of_its_own(file_with: Callable[..., Path]) -> None:
    found = registry((file_with(),))
    assert found.base("own:v1").short == "own-clip"
    assert len(found.bases) == len(shipped().bases) + 1
    with pytest.raises(NotFound):
        shipped().base("own:v1")


@pytest.mark.parametrize(
    ("claim", "name"),
    [
        ("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch32"),
        ("timm/vit_base_patch32_clip_224.openai", "openai/clip-vit-base-patch32"),
        ("ViT-B-32:openai", "openai/clip-vit-base-patch32"),
        ("ViT-B-32-quickgelu:openai", "openai/clip-vit-base-patch32"),
        ("ViT-L/14@336px".replace("@336px", ""), "openai/clip-vit-large-patch14"),
        ("OpenAI/CLIP-ViT-Large-Patch14-336", "openai/clip-vit-large-patch14-336"),
        ("clip-vit-large-patch14", "openai/clip-vit-large-patch14"),
        ("sentence-transformers/clip-ViT-B-32", "openai/clip-vit-base-patch32"),
        ("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("timm/ViT-L-16-SigLIP-256", "google/siglip-large-patch16-256"),
        ("RN50", "timm/resnet50_clip.openai"),
        ("convnext_base_w:laion2b_s13b_b82k", "laion/CLIP-convnext_base_w-laion2B-s13B-b82K"),
        ("ViT-bigG-14:laion2b_s39b_b160k", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"),
        ("facebook/metaclip-b16-fullcc2.5b", "facebook/metaclip-b16-fullcc2.5b"),
    ],
)
def test_a_base_is_recognised_by_every_name_it_goes_by(claim: str, name: str) -> None:
    assert shipped().base(claim).name == name


@pytest.mark.parametrize("claim", ["someone/clip-vit-base-patch32", "", "clip", "../../etc/passwd"])
def test_what_only_resembles_a_base_is_none(claim: str) -> None:
    assert shipped().resolve(claim) is None


def test_a_copy_is_recognised_by_the_name_it_kept() -> None:
    named = shipped().named_like
    found = named("u/CLIP-ViT-bigG-14-laion2B-39B-b160k-sft")
    assert found and found.name == "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"
    found = named("u/clip-vit-large-patch14-336_finetuned")
    assert found and found.name == "openai/clip-vit-large-patch14-336"
    assert named("u/my-clip") is None
    assert named("u/clip-vit-base-patch320") is None


def test_bases_of_one_architecture_differ_in_positions_and_activation_alone() -> None:
    line = "ViT 336/14 w1024 d24 · text w768 d12 · embed 768"
    names = {base.name for base in shipped().of_architecture(line)}
    assert "openai/clip-vit-large-patch14" in names
    assert "laion/CLIP-ViT-L-14-laion2B-s32B-b82K" in names
    assert "laion/CLIP-ViT-H-14-laion2B-s32B-b79K" not in names
    assert shipped().of_architecture("") == ()


def test_reference_names_are_those_of_one_base_each() -> None:
    shorts = [base.short for base in shipped().bases]
    assert len(shorts) == len(set(shorts))
    with pytest.raises(SettingsError):
        one: Base = shipped().bases[0]
        Registry((one, Base("acme/" + one.short, (), "", "", one.places, one.source)))
