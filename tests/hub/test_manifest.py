from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hub_files import CONFIG, WEIGHTS
from hypothesis import given, settings
from hypothesis import strategies as st

from dife_scanner import checkpoints
from dife_scanner.errors import Unsupported, UsageError
from dife_scanner.hub import base_claim, local_manifest, manifest, small_files
from dife_scanner.records import Contents, HubFile, HubModel, JobState, Layout

OTHER_WEIGHTS, PICKLE = "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin"
LEARNERS = ("prompt_learner.safetensors", "learner.safetensors")


def model(*paths: str, size: int = 100, **fields: Any) -> HubModel:
    files = tuple(HubFile(path, size, git_oid="b" * 40) for path in paths)
    return HubModel("org/name", "a" * 40, "2026-10-01T00:00:00.000000+00:00", files=files, **fields)


def test_an_open_clip_checkpoint_is_queued_with_what_it_needs(config: bytes) -> None:
    found = model(
        CONFIG,
        WEIGHTS,
        PICKLE,
        "tokenizer.json",
        "README.md",
        "model.safetensors",
        "config.json",
        "vocab.json",
    )
    assert [file.path for file in small_files(found)] == [CONFIG, "config.json"]
    made = manifest(found, {CONFIG: config})
    assert (made.layout, made.state, made.reason) == (Layout.OPEN_CLIP, JobState.QUEUED, "")
    assert made.architecture == "ViT 64/16 w192 d6 · text w128 d3 · embed 128"
    assert [file.path for file in made.files] == [CONFIG, WEIGHTS]
    assert made.contents == Contents(CONFIG, (WEIGHTS,))
    assert made.bytes_to_fetch == 200
    assert str(made.ref) == "org/name@aaaaaaaaaaaa"


def test_the_converted_weights_are_taken_where_there_are_no_others(config: bytes) -> None:
    assert manifest(model(CONFIG, OTHER_WEIGHTS), {CONFIG: config}).files[1].path == OTHER_WEIGHTS
    assert (
        manifest(model(CONFIG, OTHER_WEIGHTS, WEIGHTS), {CONFIG: config}).files[1].path == WEIGHTS
    )


@pytest.mark.parametrize(
    ("paths", "fields", "layout", "words"),
    [
        ([CONFIG, "open_clip.onnx"], {}, Layout.ONNX, "ONNX"),
        (["config.json", "model.safetensors"], {"library": "mlx"}, Layout.MLX, "MLX"),
        (["onnx/model.onnx", "config.json"], {}, Layout.ONNX, "would be read"),
        (["clip.gguf"], {}, Layout.GGUF, "GGUF"),
        (["model.ggmlv0.f16.bin"], {}, Layout.GGUF, "ggml"),
        (["model.safetensors"], {"library": "timm"}, Layout.NOT_CLIP, "timm"),
        (["params.pkl"], {}, Layout.OTHER, "Python pickle"),
        (["README.md"], {}, Layout.NO_WEIGHTS, "no weights"),
        ([], {}, Layout.NO_WEIGHTS, "no files"),
    ],
)
def test_what_cannot_be_audited_has_a_reason(
    paths: list[str], fields: dict[str, Any], layout: Layout, words: str
) -> None:
    found = model(*paths, **fields)
    made = manifest(found, {})
    assert (made.layout, made.state) == (layout, JobState.UNSUPPORTED) and words in made.reason
    assert small_files(found) == [] and made.files == () and made.bytes_to_fetch == 0


def test_the_better_file_of_two_is_read(config: bytes) -> None:
    """The one that open_clip loads where nobody names another."""

    def weights(*paths: str) -> tuple[str, ...]:
        return manifest(model(*paths), {CONFIG: config}).contents.weights

    assert weights(CONFIG, PICKLE) == (PICKLE,)
    assert weights(CONFIG, PICKLE, OTHER_WEIGHTS) == (PICKLE,)
    assert weights(CONFIG, PICKLE, OTHER_WEIGHTS, WEIGHTS) == (WEIGHTS,)
    assert weights(CONFIG, "model.safetensors") == ("model.safetensors",)


def test_the_states_of_access(config: bytes) -> None:
    def state(small: dict[str, bytes], **fields: Any) -> JobState:
        made = manifest(model(CONFIG, WEIGHTS, **fields), small)
        assert made.reason or made.state is JobState.QUEUED
        return made.state

    read = {CONFIG: config}
    assert state({}, gated=True) is JobState.GATED
    assert state({}, private=True) is JobState.PRIVATE
    assert state(read, gated=True) is JobState.QUEUED  # its token was let in
    assert state(read, private=True) is JobState.QUEUED
    assert state(read, disabled=True) is JobState.DISABLED
    assert state({}) is JobState.QUEUED
    waiting = manifest(model(CONFIG, WEIGHTS, gated=True, private=True), {}, may_open=True)
    assert waiting.state is JobState.QUEUED and "not been read yet" in waiting.reason
    assert (
        manifest(model("clip.onnx", gated=True, tags=("clip",)), {}).state is JobState.UNSUPPORTED
    )
    no_config = model("clip_l.safetensors", gated=True)
    assert manifest(no_config, {}).state is JobState.GATED
    assert manifest(no_config, {}, may_open=True).state is JobState.QUEUED


def test_a_tokenizer_is_fetched_where_the_library_reads_it() -> None:
    """open_clip has CLIP's built in, and reads the repository's only where the configuration names one."""
    found = model(CONFIG, WEIGHTS, "tokenizer.json", "vocab.json")
    named = {"vocab_size": 32000, "hf_tokenizer_name": "timm/ViT-B-16-SigLIP"}
    assert manifest(found, _config(text_cfg=named)).contents.tokenizer == (
        "tokenizer.json",
        "vocab.json",
    )
    assert manifest(found, _config()).contents.tokenizer == ()
    large = model("config.json", "model.safetensors", "vocab.json", size=65 * 1024**2)
    siglip = {"config.json": b'{"model_type": "siglip"}'}
    assert manifest(large, siglip).state is JobState.LIMIT_EXCEEDED
    allowed = manifest(large, siglip, small_file_bytes=65 * 1024**2)
    assert allowed.state is JobState.QUEUED, allowed.reason


def test_limits_are_said_before_anything_is_fetched(config: bytes) -> None:
    made = manifest(model(CONFIG, WEIGHTS, size=100), {CONFIG: config}, checkpoint_bytes=99)
    assert made.state is JobState.LIMIT_EXCEEDED and "100 bytes, the limit is 99" in made.reason
    assert "raise limits.checkpoint_bytes" in made.reason
    huge = model(CONFIG, WEIGHTS, size=1 << 30)
    assert small_files(huge) == []
    assert manifest(huge, {}).state is JobState.LIMIT_EXCEEDED


def _config(**model_cfg: Any) -> dict[str, bytes]:
    cfg = {
        "embed_dim": 512,
        "vision_cfg": {"layers": [3, 4, 6, 3], "width": 64, "image_size": 96},
        "text_cfg": {"width": 64},
    }
    return {CONFIG: json.dumps({"model_cfg": cfg | model_cfg}).encode()}


def test_architectures_are_named() -> None:
    found = model(CONFIG, WEIGHTS)
    assert manifest(found, _config()).architecture == "RN 96 3-4-6-3 w64 · text w64 d12 · embed 512"
    short = manifest(
        found, _config(quick_gelu=True, text_cfg={"width": 8, "layers": 2, "context_length": 32})
    )
    assert short.architecture.endswith("text w8 d2 c32 · embed 512 · quick_gelu")


def test_what_is_wrong_with_a_config_is_left_to_the_intake() -> None:
    found = model(CONFIG, WEIGHTS)
    timm = manifest(found, _config(vision_cfg={"timm_model_name": "vit_\x1b[31msmall"}))
    assert (timm.state, timm.architecture) == (JobState.QUEUED, "timm vit_small")


def test_files_that_are_never_fetched_are_not_judged(config: bytes) -> None:
    files = [HubFile(CONFIG, 100, git_oid="b" * 40), HubFile(WEIGHTS, 100, git_oid="b" * 40)]
    for path in ("README.md", "model.onnx", PICKLE, OTHER_WEIGHTS, "tokenizer.json", "a" * 300):
        files.append(HubFile(path, 10**13, git_oid="b" * 40))
    found = HubModel("org/name", "a" * 40, "2026-10-01T00:00:00.000000+00:00", files=tuple(files))
    made = manifest(found, {CONFIG: config})
    assert (made.state, made.reason, made.bytes_to_fetch) == (JobState.QUEUED, "", 200)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"model_cfg": 3}',
        b'{"model_cfg": {"vision_cfg": [1]}}',
    ],
    ids=range(6),
)
def test_a_broken_config_is_left_to_the_intake_to_refuse(raw: bytes) -> None:
    made = manifest(model(CONFIG, WEIGHTS), {CONFIG: raw})
    assert (made.state, made.architecture) == (JobState.QUEUED, "")


@settings(max_examples=30)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
            st.sampled_from(["model_cfg", "vision_cfg", "text_cfg", "layers", "width", "timm_model_name"]), inner),
    )
)  # fmt: skip
def test_no_config_whatever_raises(body: object) -> None:
    manifest(model(CONFIG, WEIGHTS), {CONFIG: json.dumps(body).encode()})


def test_base_claims_are_read_from_the_tags() -> None:
    assert base_claim(["clip", "base_model:a/b", "base_model:finetune:a/b"]) == "a/b (finetune)"
    assert (
        base_claim(["base_model:quantized:a/b", "base_model:a/b", "base_model:c/d"])
        == "a/b (quantized), c/d"
    )
    assert base_claim(["clip"]) == ""


# --- local ------------------------------------------------------------------------------------------------------


def test_a_prompt_learner_is_fetched_with_its_checkpoint(config: bytes) -> None:
    made = manifest(model(CONFIG, WEIGHTS, LEARNERS[1], "tokenizer.json"), {CONFIG: config})
    assert [file.path for file in made.files] == [CONFIG, LEARNERS[1], WEIGHTS]
    both = manifest(model(CONFIG, WEIGHTS, LEARNERS[1], LEARNERS[0]), {CONFIG: config})
    assert [file.path for file in both.files] == [CONFIG, LEARNERS[0], WEIGHTS]
    large = manifest(model(CONFIG, WEIGHTS, LEARNERS[0]), {CONFIG: config}, small_file_bytes=99)
    assert large.state is JobState.LIMIT_EXCEEDED


@pytest.mark.parametrize(
    "path",
    [
        "prompt_learner.pt",
        "prompt_learner/model.pth.tar-50",
        "output/model-best.pth.tar",
        "CoCoOp/seed1/best.ckpt",
        "clip-coop.bin",
        "old/prompt-learner.safetensors",
        "learner.pkl",
    ],
)
def test_a_prompt_learner_that_is_not_read_is_named_and_not_fetched(
    config: bytes, path: str
) -> None:
    made = manifest(model(CONFIG, WEIGHTS, path), {CONFIG: config})
    assert (made.unread, made.state) == ((path,), JobState.QUEUED)
    assert [file.path for file in made.files] == [CONFIG, WEIGHTS]


def test_what_is_no_prompt_learner_is_not_called_one(config: bytes) -> None:
    others = (
        "README.md",
        "prompt_learner.md",
        PICKLE,
        "optimizer.pt",
        "scoop.bin",
        "learners_guide.json",
        LEARNERS[1],
    )
    assert manifest(model(CONFIG, WEIGHTS, *others), {CONFIG: config}).unread == ()
    both = manifest(model(CONFIG, WEIGHTS, *LEARNERS), {CONFIG: config})
    assert both.unread == (LEARNERS[1],), "only the first is read"


@pytest.fixture
def folder(tmp_path: Path, config: bytes) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / CONFIG).write_bytes(config)
    (folder / WEIGHTS).write_bytes(b"weights")
    return folder


def test_a_folder_is_named_by_its_contents(folder: Path, tmp_path: Path) -> None:
    made = local_manifest(folder)
    assert made.ref.local and made.ref.repo_id == str(folder) and made.state is JobState.QUEUED
    assert made.ref.revision.startswith("local-") and len(made.ref.revision) == 40
    assert made.architecture == "ViT 64/16 w192 d6 · text w128 d3 · embed 128"
    assert made.files[1] == HubFile(WEIGHTS, 7, sha256=hashlib.sha256(b"weights").hexdigest())
    (folder / "README.md").write_text("does not matter")
    assert local_manifest(folder).ref == made.ref
    moved = folder.rename(tmp_path / "elsewhere")
    assert local_manifest(moved).ref.revision == made.ref.revision
    (moved / WEIGHTS).write_bytes(b"weightS")
    assert local_manifest(moved).ref.revision != made.ref.revision


def test_one_file_beside_its_config(folder: Path) -> None:
    (folder / "epoch-2.safetensors").write_bytes(b"two")
    made = local_manifest(folder / "epoch-2.safetensors")
    assert [file.path for file in made.files] == [CONFIG, "epoch-2.safetensors"]
    assert local_manifest(folder).files[1].path == WEIGHTS
    (folder / WEIGHTS).unlink()
    assert local_manifest(folder).files[1].path == "epoch-2.safetensors"
    (folder / "epoch-1.safetensors").write_bytes(b"one")
    with pytest.raises(UsageError, match=r"holds 2 \.safetensors files"):
        local_manifest(folder)


def test_a_prompt_learner_is_part_of_a_folder_and_never_its_weights(folder: Path) -> None:
    plain = local_manifest(folder)
    (folder / LEARNERS[0]).write_bytes(b"learner")
    made = local_manifest(folder)
    assert [file.path for file in made.files] == [CONFIG, LEARNERS[0], WEIGHTS]
    assert made.ref.revision != plain.ref.revision
    (folder / WEIGHTS).rename(folder / "epoch-1.safetensors")
    assert [file.path for file in local_manifest(folder).files] == [
        CONFIG,
        LEARNERS[0],
        "epoch-1.safetensors",
    ]


def test_a_prompt_learner_of_a_folder_that_is_not_read_is_named(folder: Path) -> None:
    (folder / "prompt_learner").mkdir()
    (folder / "prompt_learner" / "model.pth.tar-50").write_bytes(b"pickle")
    (folder / "learner.pt").write_bytes(b"pickle")
    made = local_manifest(folder)
    assert made.unread == ("learner.pt", "prompt_learner/model.pth.tar-50")
    assert [file.path for file in made.files] == [CONFIG, WEIGHTS]


def test_weights_that_are_not_audited_are_named(config: bytes, folder: Path) -> None:
    """Another program may load those beside the ones that open_clip takes, and they may be anything."""
    beside = ("model.safetensors", "old/checkpoint.pt", PICKLE)
    made = manifest(model(CONFIG, WEIGHTS, *beside, "README.md", *LEARNERS), {CONFIG: config})
    assert made.other_weights == tuple(sorted(beside)) and made.unread == (LEARNERS[1],)
    (folder / "model.safetensors").write_bytes(b"")
    local = local_manifest(folder)
    assert local.other_weights == ("model.safetensors",)
    (told,) = checkpoints.notes(local)
    assert told.startswith("not audited: further tensor files") and "(model.safetensors)" in told


def test_what_is_no_checkpoint_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        local_manifest(tmp_path / "none")
    with pytest.raises(UsageError, match="is not a checkpoint"):
        local_manifest(folder / CONFIG)
    (folder / WEIGHTS).rename(folder / "model.onnx")
    with pytest.raises(Unsupported, match="ONNX"):
        local_manifest(folder)
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / WEIGHTS)
    with pytest.raises(Unsupported, match="no weights") as caught:
        local_manifest(folder)
    assert caught.value.advice
    with pytest.raises(UsageError, match="cannot be read: File name too long"):
        local_manifest(tmp_path / ("x" * 300))


def test_a_folder_of_any_layout(folder: Path) -> None:
    """A folder follows the rules of a repository: a pickled file, transformers, weights without a configuration."""
    (folder / WEIGHTS).rename(folder / PICKLE)
    assert local_manifest(folder).contents == Contents(CONFIG, (PICKLE,))
    (folder / CONFIG).unlink()
    (folder / PICKLE).rename(folder / "model.safetensors")
    bare = local_manifest(folder)
    assert (bare.layout, bare.contents.config) == (Layout.SINGLE_FILE, "")
    (folder / "config.json").write_text('{"model_type": "clip_vision_model"}')
    tower = local_manifest(folder / "model.safetensors")
    assert (tower.layout, tower.contents.config) == (Layout.TOWER, "config.json")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(Unsupported, match="a llama model, not a CLIP"):
        local_manifest(folder)


def test_local_limits(folder: Path) -> None:
    made = local_manifest(folder, checkpoint_bytes=3)
    assert made.state is JobState.LIMIT_EXCEEDED and "the limit is 3" in made.reason
