"""What becomes of the repositories that a real hub holds, from names, sizes, tags and small JSON alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dife_scanner.hub import base_claim, manifest, small_files, wanted_files
from dife_scanner.hub.claims import base_claims, is_hub_name
from dife_scanner.records import BaseClaim, HubFile, HubModel, JobState, Layout, Manifest

ASSETS = Path(__file__).parents[1] / "assets"
NAMES = ("listings", "more_listings")

STATES = {
    "audit": JobState.QUEUED,
    "audit one tower": JobState.QUEUED,
    "needs header": JobState.QUEUED,
    "unsupported": JobState.UNSUPPORTED,
    "no weights": JobState.UNSUPPORTED,
}
READ = {
    "T-ST": Layout.TRANSFORMERS,
    "T-BIN": Layout.TRANSFORMERS,
    "T-SHARD": Layout.TRANSFORMERS,
    "T-TOWER": Layout.TOWER,
    "T-CLS": Layout.CLASSIFIER,
    "TE-FOLDER": Layout.TOWER,
    "OC-ST": Layout.OPEN_CLIP,
    "OC-ST-TIMM": Layout.OPEN_CLIP,
    "OC-BIN": Layout.OPEN_CLIP,
    "SIGLIP": Layout.SIGLIP,
    "ST": Layout.SENTENCE_TRANSFORMERS,
    "DIFF": Layout.DIFFUSION,
    "TIMM": Layout.TIMM,
    "PEFT": Layout.PEFT,
    "PT": Layout.SINGLE_FILE,
    "COMFY": Layout.SINGLE_FILE,
}
NOT_READ = {
    "ONNX": (Layout.ONNX, "ONNX"),
    "OPENVINO": (Layout.OPENVINO, "OpenVINO"),
    "COREML": (Layout.CORE_ML, "Core ML"),
    "GGUF": (Layout.GGUF, "GGUF"),
    "MLX": (Layout.MLX, "MLX"),
    "FLAX": (Layout.FLAX, "JAX"),
    "KERAS": (Layout.TENSORFLOW, "TensorFlow or Keras"),
    "VTDE": (Layout.DUAL_ENCODER, "dual encoder"),
    "CNCLIP": (Layout.OTHER_TEXT_TOWER, "its text tower is"),
    "T-ST": (Layout.OTHER_TEXT_TOWER, "vocabulary of its own"),
    "T-BIN": (Layout.OTHER_TEXT_TOWER, "its text tower is"),
    "OC-BIN": (Layout.OTHER_TEXT_TOWER, "of another family"),
    "CUSTOM": (Layout.CUSTOM_CODE, "never run"),
    "SOURCE": (Layout.NO_WEIGHTS, "only source code"),
    "TOKENIZER": (Layout.NO_WEIGHTS, "only a tokenizer"),
}


def _rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ASSETS / f"{name}.json").read_text())["rows"]
    return found


def _model(row: dict[str, Any]) -> HubModel:
    files = tuple(HubFile(path, size) for path, size in row["files"].items())
    return HubModel(
        row["repo"],
        "a" * 40,
        "2026-10-01T00:00:00.000000+00:00",
        library=row["library"],
        pipeline_tag=row["pipeline"],
        tags=tuple(row["tags"]),
        files=files,
    )


def _small(row: dict[str, Any]) -> dict[str, bytes]:
    bodies = {**row["small"], **row.get("added", {})}
    return {path: json.dumps(body).encode() for path, body in bodies.items()}


def _judged(row: dict[str, Any]) -> Manifest:
    return manifest(_model(row), _small(row))


@pytest.mark.parametrize("row", _rows("listings"), ids=lambda row: row["repo"])
def test_a_real_repository_gets_what_is_expected_of_it_by_its_right_name(
    row: dict[str, Any],
) -> None:
    made = _judged(row)
    assert made.state is STATES[row["expect"]], made.reason
    if row["expect"] == "needs header":
        assert "header decides" in made.reason
    if made.state is JobState.QUEUED:
        assert made.layout is READ[row["truth"]] and made.contents.weights
    elif row["truth"] == "PEFT":
        assert "without a base" in made.reason
    elif row["truth"] == "PT":
        assert made.layout is Layout.OTHER_FAMILY and "not mapped" in made.reason
    else:
        layout, words = NOT_READ[row["truth"]]
        assert made.layout is layout and words in made.reason


@pytest.mark.parametrize("row", _rows("more_listings"), ids=lambda row: row["repo"])
def test_other_kinds_of_repositories_are_recognised_too(row: dict[str, Any]) -> None:
    made = _judged(row)
    assert made.state is STATES[row["expect"]], made.reason
    assert row["word"] in made.reason
    if made.state is JobState.QUEUED:
        assert made.contents.weights


@pytest.mark.parametrize("name", NAMES)
def test_a_look_by_names_alone_contradicts_no_reading(name: str) -> None:
    """What a listing refuses is refused after its configurations were read too; nothing auditable is lost there."""
    for row in _rows(name):
        first = manifest(_model(row), {})
        if first.state is JobState.UNSUPPORTED:
            assert _judged(row).state is JobState.UNSUPPORTED, row["repo"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_fetched_is_what_the_contents_name(name: str) -> None:
    for row in _rows(name):
        model, small, made = _model(row), _small(row), _judged(row)
        paths = [file.path for file in made.files]
        assert paths == list(made.contents.paths) and len(set(paths)) == len(paths)
        assert set(paths) <= set(row["files"])
        assert not set(made.other_weights) & set(made.contents.weights)
        if made.state is JobState.QUEUED:
            assert wanted_files(model.files, model, small) == made.files
            wanted = {file.path for file in small_files(model)}
            assert not made.contents.config or made.contents.config in wanted


def test_every_base_that_a_repository_names_is_named() -> None:
    for row in _rows("listings"):
        where, _, base = row["base"].partition(": ")
        if where not in ("card", "adapter_config"):
            continue
        if where == "card" and f"base_model:{base}" not in row["tags"]:
            continue  # its text says it, which nobody reads
        source = "card" if where == "card" else "adapter_config.json"
        assert (base, source) in [(one.name, one.source) for one in _judged(row).base_claims]


def test_the_page_has_every_layout_and_every_row_a_place_on_it() -> None:
    page = (ASSETS.parents[1] / "docs" / "layouts.md").read_text()
    for layout in Layout:
        assert f"`{layout.value}`" in page, layout
    for row in [*_rows("listings"), *_rows("more_listings")]:
        assert re.search(rf"[(, ]{row['truth']}[,)]", page), row["truth"]


def _contents(*paths: str, library: str = "", **small: str) -> Manifest:
    files = tuple(HubFile(path, 100) for path in paths)
    model = HubModel("org/clip", "a" * 40, "", library=library, files=files)
    bodies = {name.replace("__", "/") + ".json": body.encode() for name, body in small.items()}
    return manifest(model, bodies)


WEIGHTS = "model.safetensors"
CLIP = '{"model_type": "clip", "architectures": ["CLIPModel"]}'


@pytest.mark.parametrize(
    ("tags", "task", "layout"),
    [
        (["chinese_clip"], "", Layout.OTHER_TEXT_TOWER),
        (["vision-text-dual-encoder"], "", Layout.DUAL_ENCODER),
        (["clyp", "custom_code"], "", Layout.CUSTOM_CODE),
        (["llama"], "text-generation", Layout.NOT_CLIP),
        (["clip", "custom_code"], "", Layout.TRANSFORMERS),
        (["clip", "chinese_clip"], "text-generation", Layout.TRANSFORMERS),
    ],
)
def test_tags_refuse_only_where_none_of_a_clip_is_among_them(
    tags: list[str], task: str, layout: Layout
) -> None:
    """The hub makes a tag of every model type; authors write tags too, so a doubt is left to the configuration."""
    files = (HubFile("config.json", 9), HubFile("model.safetensors", 9))
    model = HubModel("org/x", "a" * 40, "", tags=tuple(tags), pipeline_tag=task, files=files)
    made = manifest(model, {})
    assert made.layout is layout
    assert made.state is (
        JobState.QUEUED if layout is Layout.TRANSFORMERS else JobState.UNSUPPORTED
    )


def test_all_shards_in_the_order_of_their_numbers_and_a_whole_set_first() -> None:
    shards = [f"model-0000{number}-of-00003.safetensors" for number in (2, 3, 1)]
    index = "model.safetensors.index.json"
    made = _contents("config.json", index, *shards, config=CLIP)
    assert made.contents.weights == tuple(sorted(shards)) and made.contents.index == index
    made = _contents("config.json", *shards[:2], "pytorch_model.bin", config=CLIP)
    assert made.contents.weights == ("pytorch_model.bin",)
    made = _contents("config.json", *shards[:2], config=CLIP)
    assert made.state is JobState.UNSUPPORTED and "2 of 3 shards" in made.reason


@pytest.mark.parametrize(
    ("paths", "loaded"),
    [
        (["model.fp16.safetensors", "pytorch_model.bin"], "pytorch_model.bin"),
        (["pytorch_model.safetensors", "pytorch_model.bin"], "pytorch_model.bin"),
        (["model.bin", "pytorch_model.bin"], "pytorch_model.bin"),
        (["model.safetensors.index.json", "other.safetensors", "pytorch_model.bin"], ""),
        (["model.safetensors", "adapter_config.json", "adapter_model.safetensors"], ""),
    ],
)
def test_the_weights_are_those_that_transformers_loads_or_none(
    paths: list[str], loaded: str
) -> None:
    made = _contents("config.json", *paths, config=CLIP)
    assert made.contents.weights == ((loaded,) if loaded else ())
    assert made.state is (JobState.QUEUED if loaded else JobState.UNSUPPORTED)


def test_the_weights_of_an_adapter_are_those_that_peft_loads() -> None:
    others = ("adapter_model.fp16.safetensors", "linearized_adapter_model.safetensors")
    made = _contents(
        "adapter_config.json",
        *others,
        "adapter_model.bin",
        adapter_config='{"peft_type": "LORA", "base_model_name_or_path": "openai/clip-vit-base-patch32"}',
    )
    assert made.contents.weights == ("adapter_model.bin",)


def test_a_configuration_that_names_other_weights_is_followed_or_refused() -> None:
    named = CLIP.replace("}", ', "transformers_weights": "other.safetensors"}')
    made = _contents("config.json", "model.safetensors", "other.safetensors", config=named)
    assert made.state is JobState.UNSUPPORTED and "names other weights" in made.reason


def test_the_first_module_of_sentence_transformers_is_the_one_that_its_list_names() -> None:
    folders = ("0_CLIPModel", "other")
    paths = [f"{folder}/{name}" for folder in folders for name in ("config.json", WEIGHTS)]
    named = '[{"idx": 0, "path": "other", "type": "sentence_transformers.models.CLIPModel"}]'
    made = _contents("modules.json", *paths, modules=named, other__config=CLIP)
    assert made.contents.weights == (f"other/{WEIGHTS}",)
    small = {"modules": "[[]]", "0_CLIPModel__config": CLIP}
    made = _contents("modules.json", *paths, **small)
    assert made.contents.weights == (f"0_CLIPModel/{WEIGHTS}",)


def test_a_processor_that_prepares_pictures_counts_before_the_older_file() -> None:
    """So transformers reads them (5.24)."""
    paths = (
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "processor_config.json",
    )
    made = _contents(*paths, config=CLIP, processor_config='{"image_processor": {}}')
    assert made.contents.preprocessing == "processor_config.json"
    made = _contents(*paths, config=CLIP, processor_config='{"processor_class": "CLIPProcessor"}')
    assert made.contents.preprocessing == "preprocessor_config.json"


def test_an_index_that_names_what_is_not_there_is_incomplete() -> None:
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for other in ("model-00003-of-00003.safetensors", "../../etc/passwd", "config.json"):
        index = json.dumps({"weight_map": {"a": shards[0], "b": other}})
        files = ("config.json", *shards, "model.safetensors.index.json")
        model = HubModel("org/clip", "a" * 40, "", files=tuple(HubFile(name, 9) for name in files))
        small = {"config.json": CLIP.encode(), "model.safetensors.index.json": index.encode()}
        made = manifest(model, small)
        assert made.state is JobState.UNSUPPORTED and "1 of the 2 files" in made.reason


def test_the_tokenizer_is_that_of_the_model() -> None:
    made = _contents(
        "model_index.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer_2/merges.txt",
        "unet/diffusion_pytorch_model.bin",
        text_encoder__config='{"model_type": "clip_text_model", "architectures": ["CLIPTextModel"]}',
    )
    assert made.layout is Layout.OTHER_TEXT_TOWER  # 100 bytes of merges are none of CLIP's
    assert "merges.txt has 100 bytes" in made.reason
    made = _contents(
        "config.json", "model.safetensors", "spiece.model", config='{"model_type": "siglip"}'
    )
    assert made.contents.tokenizer == ("spiece.model",)


def test_a_configuration_of_transformers_is_described_in_the_same_words() -> None:
    full = _contents("config.json", "model.safetensors", config=CLIP)
    assert full.architecture == "ViT 224/32 w768 d12 · text w512 d12 · embed 512 · quick_gelu"
    large = '{"model_type": "clip_vision_model", "hidden_size": 1024, "num_hidden_layers": 24, "patch_size": 14}'
    assert (
        _contents("config.json", "model.safetensors", config=large).architecture
        == "ViT 224/14 w1024 d24"
    )


def test_a_word_of_another_model_in_a_name_takes_no_clip_away() -> None:
    made = _contents("clip_vit_transformer.pt", "t5xxl_fp16.safetensors")
    assert made.contents.weights == ("clip_vit_transformer.pt",)
    made = _contents("t5xxl_fp16.safetensors", "ae.safetensors")
    assert made.layout is Layout.NOT_CLIP


def test_claims_of_a_base_are_kept_apart_and_paths_are_none() -> None:
    tags = ["base_model:a/b", "base_model:adapter:a/b"]
    bodies = {
        "adapter_config.json": {"base_model_name_or_path": "c/d"},
        "config.json": {"_name_or_path": "e/f"},
        "x/config.json": {"_name_or_path": "org/clip"},
    }
    assert base_claims("org/clip", tags, bodies) == (
        BaseClaim("a/b", "adapter", "card"),
        BaseClaim("c/d", "adapter", "adapter_config.json"),
        BaseClaim("e/f", "", "config.json"),
    )
    assert base_claim(tags) == "a/b (adapter)"
    for name in (
        "/root/clip",
        "./clip",
        "../a/b",
        "a/b/c",
        "C:\\clip",
        "checkpoints/best",
        "a/b\n",
        "a/..",
        "",
        "a b/c",
    ):
        assert not is_hub_name(name), name
    assert is_hub_name("openai/clip-vit-base-patch32")


def test_ten_thousand_files_are_looked_through() -> None:
    each = ("config.json", "model.safetensors", "optimizer.pt", "rng_state.pth")
    names = [f"checkpoint-{step}/{name}" for step in range(2500) for name in each]
    model = HubModel("org/clip", "a" * 40, "", files=tuple(HubFile(name, 9) for name in names))
    wanted = [file.path for file in small_files(model)]
    assert wanted[0] == "checkpoint-2499/config.json" and len(wanted) <= 16
    made = manifest(model, {wanted[0]: CLIP.encode()})
    assert made.contents.weights == ("checkpoint-2499/model.safetensors",)


_PATHS = (
    "config.json", "model.safetensors", "adapter_config.json", "adapter_model.safetensors", "modules.json",
    "model_index.json", "text_encoder/config.json", "text_encoder/pytorch_model.bin", "open_clip_config.json",
    "open_clip_pytorch_model.bin", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "clip.pt",
)  # fmt: skip
_KEYS = ("model_type", "architectures", "text_config", "vision_config", "vocab_size", "auto_map", "weight_map",
         "base_model_name_or_path", "auto_mapping", "peft_type", "task_type", "architecture", "pretrained_cfg",
         "quantization_config", "_name_or_path", "model_cfg", "text_cfg", "hf_tokenizer_name")  # fmt: skip
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["clip", "siglip", "CLIPModel", "\x1b[31m", "a/b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=40)
@example(
    {"config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"},
    {"weight_map": {"model_type": None}},
)
@given(st.sets(st.sampled_from(_PATHS)), st.dictionaries(st.sampled_from(_KEYS), _VALUES))
def test_no_repository_whatever_raises(paths: set[str], body: dict[str, Any]) -> None:
    model = HubModel(
        "org/clip", "a" * 40, "", files=tuple(HubFile(path, 9) for path in sorted(paths))
    )
    raw = json.dumps(body).encode()
    made = manifest(model, {path: raw for path in paths if path.endswith(".json")})
    assert made.state in (JobState.QUEUED, JobState.UNSUPPORTED)
    assert made.reason.isprintable() and bool(made.files) == (made.state is JobState.QUEUED)
