"""From a listing to what would be fetched, and whether it can be audited at all. Pure, but for local folders.

Names and one small JSON file decide; nothing is loaded and nothing an author writes is believed further than that.
Only open_clip checkpoints with safetensors weights are queued. Everything else ends in a state with a reason.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from dife_scanner.core.plain import plain
from dife_scanner.errors import Unsupported, UsageError
from dife_scanner.records import HubFile, HubModel, JobState, Layout, Manifest, ModelRef

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
"""In the order of preference."""
PICKLE = "open_clip_pytorch_model.bin"
LEARNERS = ("prompt_learner.safetensors", "learner.safetensors")
"""A prompt learner beside the weights, in the order of preference; only the first present is read."""
MOST_UNREAD = 20
"""Files of a prompt learner that are named, at most."""
MOST_LOOKED_AT = 10_000
"""Names of a local folder that are looked at for them."""
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
CHECKPOINT_BYTES = 20 * 1024**3
SMALL_FILE_BYTES = 16 * 1024**2

_TRANSFORMERS_TYPES = frozenset(
    {
        "clip",
        "clip_text_model",
        "clip_vision_model",
        "siglip",
        "siglip_text_model",
        "siglip_vision_model",
        "siglip2",
        "siglip2_text_model",
        "siglip2_vision_model",
        "chinese_clip",
        "altclip",
        "clipseg",
        "metaclip_2",
        "xclip",
        "align",
        "groupvit",
        "owlvit",
        "owlv2",
        "flava",
        "blip",
        "vision-text-dual-encoder",
        "tipsv2",
    }
)
_LEARNER = re.compile(
    r"prompt[-_]?learner|(^|[/_.-])learner|(^|[/_.-])(co)?coop($|[/_.-])|(^|/)model(-best)?\.pth\.tar(-\d+)?$"
)
"""Names that CoOp, CoCoOp and what was made of them give a prompt learner, folders included; `model.pth.tar-50` is the
training framework's."""
_TENSORS = re.compile(r"\.(safetensors|pt|pth|bin|ckpt|pkl|pickle|npy|npz|h5|tar)(-\d+)?$")
_RELATIONS = ("finetune", "adapter", "quantized", "merge")


def small_files(model: HubModel, *, limit: int = SMALL_FILE_BYTES) -> list[HubFile]:
    """The files `manifest` wants to have read, each at most `limit` bytes; empty where names alone decide."""
    files = _by_path(model.files)
    if CONFIG not in files or _weights(files) is None or model.disabled:
        return []
    return [files[CONFIG]] if (files[CONFIG].size or 0) <= limit else []


def manifest(
    model: HubModel,
    small: Mapping[str, bytes],
    *,
    may_open: bool = False,
    checkpoint_bytes: int = CHECKPOINT_BYTES,
    small_file_bytes: int = SMALL_FILE_BYTES,
) -> Manifest:
    """What to fetch of `model` and the state it goes to.

    `small` holds the bytes of `small_files(model)`. A gated or private model counts as readable when they are there;
    leave them out where the hub refused them, and say `may_open` where there is a token and nobody has tried yet:
    it is queued then, and the hub decides. A listing item without sizes gets a manifest of 0 bytes: ask `info`.
    """
    judged = _judge(model, small, may_open, checkpoint_bytes, small_file_bytes)
    return Manifest(
        ref=ModelRef(model.repo_id, model.sha),
        layout=judged.layout,
        architecture=judged.architecture,
        files=judged.files,
        bytes_to_fetch=sum(file.size or 0 for file in judged.files),
        base_claim=base_claim(model.tags),
        state=judged.state,
        reason=judged.reason,
        unread=unread_learners(file.path for file in model.files),
    )


def wanted_files(files: Iterable[HubFile]) -> tuple[HubFile, ...]:
    """Those an audit reads: config, weights, a prompt learner and what tokenizer files there are."""
    found = _by_path(files)
    learner = [path for path in LEARNERS if path in found][:1]
    return tuple(found[path] for path in (CONFIG, _weights(found) or "", *learner, *TOKENIZER) if path in found)


def unread_learners(paths: Iterable[str]) -> tuple[str, ...]:
    """Those that look like a prompt learner and are not the one that is read, in the order of their names."""
    every = set(paths)
    read = next((path for path in LEARNERS if path in every), "")
    found = (p for p in every - {read} if _TENSORS.search(p.lower()) and _LEARNER.search(p.lower()))
    return tuple(sorted(found)[:MOST_UNREAD])


def base_claim(tags: Iterable[str]) -> str:
    """What the card says the model was made from, e.g. `openai/clip-vit-base-patch32 (finetune)`; not verified."""
    claims: dict[str, str] = {}
    for tag in tags:
        if not tag.startswith("base_model:"):
            continue
        first, _, rest = tag.removeprefix("base_model:").partition(":")
        relation, base = (first, rest) if first in _RELATIONS and rest else ("", f"{first}:{rest}" if rest else first)
        claims[base] = relation or claims.get(base, "")
    return ", ".join(base + (f" ({relation})" if relation else "") for base, relation in claims.items())


# --- judging ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Judged:
    layout: Layout
    state: JobState
    reason: str = ""
    architecture: str = ""
    files: tuple[HubFile, ...] = ()


def _judge(
    model: HubModel, small: Mapping[str, bytes], may_open: bool, checkpoint_bytes: int, small_file_bytes: int
) -> _Judged:
    files = _by_path(model.files)
    layout, unsupported = _layout(files, model, small)
    if model.disabled:
        return _Judged(layout, JobState.DISABLED, "the hub has disabled the repository")
    if unsupported:
        return _Judged(layout, JobState.UNSUPPORTED, unsupported)
    if CONFIG not in small:
        return _Judged(layout, *_unread(model, files[CONFIG], may_open, small_file_bytes))
    wanted = wanted_files(model.files)
    architecture, unsupported = _described(small[CONFIG])
    if unsupported:
        return _Judged(layout, JobState.UNSUPPORTED, unsupported, architecture, wanted)
    for file in wanted:
        most = checkpoint_bytes if file.path in WEIGHTS else small_file_bytes
        if (file.size or 0) > most:
            reason = f"{file.path} has {file.size} bytes, the limit is {most}"
            return _Judged(layout, JobState.LIMIT_EXCEEDED, reason, architecture, wanted)
    return _Judged(layout, JobState.QUEUED, "", architecture, wanted)


def _unread(model: HubModel, config: HubFile, may_open: bool, limit: int) -> tuple[JobState, str]:
    if model.gated and not may_open:
        return JobState.GATED, "access has to be asked for on the hub first"
    if model.private and not may_open:
        return JobState.PRIVATE, "the hub does not let us read its files"
    if (config.size or 0) > limit:
        return JobState.LIMIT_EXCEEDED, f"{CONFIG} has {config.size} bytes, the limit is {limit}"
    return JobState.QUEUED, f"{CONFIG} has not been read yet"


def _layout(files: Mapping[str, HubFile], model: HubModel, small: Mapping[str, bytes]) -> tuple[Layout, str]:
    """How the checkpoint is stored, and why that cannot be audited (empty where it can)."""
    if CONFIG in files:
        if _weights(files):
            return Layout.OPEN_CLIP, ""
        if PICKLE in files:
            return Layout.OPEN_CLIP_PICKLE, f"weights only as a pickle ({PICKLE}): never loaded"
        return Layout.OPEN_CLIP, f"{CONFIG} without {WEIGHTS[0]}"
    if WEIGHTS[0] in files or WEIGHTS[1] in files:
        return Layout.OPEN_CLIP, f"weights without {CONFIG}: their architecture is not known"
    if PICKLE in files:
        return Layout.OPEN_CLIP_PICKLE, f"weights only as a pickle ({PICKLE}): never loaded"
    return _other_layout(files, model, small)


def _other_layout(files: Mapping[str, HubFile], model: HubModel, small: Mapping[str, bytes]) -> tuple[Layout, str]:
    endings = {path.rsplit(".", 1)[-1].lower() for path in files if "." in path}
    if "model_index.json" in files:
        return Layout.DIFFUSION, "Stable Diffusion layout: its CLIP text encoder is not taken out yet"
    if "adapter_config.json" in files:
        return Layout.PEFT, "PEFT adapter: not merged into its base yet"
    if "modules.json" in files:
        return Layout.SENTENCE_TRANSFORMERS, "sentence-transformers layout: keys are not mapped yet"
    kind = _model_type(small.get("config.json", b""))
    if "config.json" in files and (kind or _claimed_type(model)):
        if endings & {"safetensors"}:
            return Layout.TRANSFORMERS, "transformers layout: keys are not mapped yet"
        if endings & {"bin", "pt", "pth"}:
            return Layout.TRANSFORMERS, "transformers layout with weights only as a pickle (.bin): never loaded"
    if "onnx" in endings:
        return Layout.ONNX, "ONNX layout: not read yet"
    if "gguf" in endings or any("ggml" in path for path in files):
        return Layout.GGUF, "GGUF or ggml layout: not read yet"
    if model.library == "timm":
        return Layout.TIMM, "a single timm tower: no CLIP to ask for both images and texts"
    return Layout.OTHER, _nothing_known(files, endings)


def _nothing_known(files: Mapping[str, HubFile], endings: set[str]) -> str:
    if not files:
        return "no files"
    if endings & {"bin", "pt", "pth", "ckpt", "pkl"} and "safetensors" not in endings:
        return "no known CLIP layout, and weights only as a pickle: never loaded"
    return "no known CLIP layout among its files"


def _model_type(raw: bytes) -> str:
    kind = _json_object(raw).get("model_type")
    return kind if isinstance(kind, str) and kind in _TRANSFORMERS_TYPES else ""


def _claimed_type(model: HubModel) -> bool:
    """The hub turns a config's `model_type` into a bare tag; enough to name the layout, not to load it."""
    return model.library == "transformers" or bool(_TRANSFORMERS_TYPES & set(model.tags))


def _by_path(files: Iterable[HubFile]) -> dict[str, HubFile]:
    return {file.path: file for file in files}


def _weights(files: Mapping[str, HubFile]) -> str | None:
    return next((path for path in WEIGHTS if path in files), None)


# --- architecture -----------------------------------------------------------------------------------------------


def _described(raw: bytes) -> tuple[str, str]:
    """The architecture in short, and why it cannot be audited; both empty where only the intake can tell.

    Refusing what is wrong or hostile in a configuration is the intake's word alone.
    """
    model = _section(_json_object(raw), "model_cfg")
    vision, text = _section(model, "vision_cfg"), _section(model, "text_cfg")
    image, timm, other = _vision(vision), vision.get("timm_model_name"), text.get("hf_model_name")
    words = f"text w{_number(text, 'width', 512)} d{_number(text, 'layers', 12)}"
    context = _number(text, "context_length", 77)
    words += f" c{context}" if context != "77" else ""
    quick = ["quick_gelu"] * (model.get("quick_gelu") is True)
    short = " · ".join([image, words, f"embed {_number(model, 'embed_dim', None)}", *quick])
    architecture = "" if "?" in short or not vision or not text else short
    if isinstance(timm, str) and timm and not set(":/\\") & set(timm):
        return f"timm {plain(timm, 80)}", f"the image tower is the timm model {plain(timm, 80)}: not loaded yet"
    if isinstance(other, str) and other:
        return "", f"the text tower comes from another repository ({plain(other, 120)}): never fetched"
    return architecture, ""


def _vision(vision: Mapping[str, Any]) -> str:
    stages = vision.get("layers")
    if isinstance(stages, list) and len(stages) == 4 and all(type(stage) is int for stage in stages):
        blocks = "-".join(str(stage) for stage in stages)
        return f"RN {_number(vision, 'image_size', 224)} {blocks} w{_number(vision, 'width', 768)}"
    size, patch = _number(vision, "image_size", 224), _number(vision, "patch_size", 16)
    return f"ViT {size}/{patch} w{_number(vision, 'width', 768)} d{_number(vision, 'layers', 12)}"


def _number(section: Mapping[str, Any], key: str, default: int | None) -> str:
    """A small whole number (or the side of a square) as text; `?` for anything else."""
    value = section.get(key, default)
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    return str(value) if type(value) is int and 0 <= value < 10**9 else "?"


def _section(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = body.get(key)
    return found if isinstance(found, dict) else {}


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


# --- local checkpoints ------------------------------------------------------------------------------------------


def local_manifest(
    path: Path, *, checkpoint_bytes: int = CHECKPOINT_BYTES, small_file_bytes: int = SMALL_FILE_BYTES
) -> Manifest:
    """The manifest of a folder, or of one `.safetensors` beside its `open_clip_config.json`.

    The revision is `local-` and 34 hex digits of a hash over names and contents of the files that would be read.
    Raises `UsageError` where there is nothing to look at and `Unsupported` for a folder that is no open_clip
    checkpoint.
    """
    folder, weights = _local_weights(path.absolute())
    learner = [name for name in LEARNERS if name != weights and _is_file(folder / name)][:1]
    names = [CONFIG, weights, *learner, *(name for name in TOKENIZER if _is_file(folder / name))]
    for name in names:
        size = (folder / name).stat().st_size
        most = checkpoint_bytes if name == weights else small_file_bytes
        if size > most:
            reason = f"{name} has {size} bytes, the limit is {most}"
            return _local(folder, (), JobState.LIMIT_EXCEEDED, reason)
    files = tuple(_hashed(folder, name) for name in names)
    architecture, unsupported = _described((folder / CONFIG).read_bytes())
    state = JobState.UNSUPPORTED if unsupported else JobState.QUEUED
    unread = unread_learners(name for name in _names(folder) if name != weights)
    return replace(_local(folder, files, state, unsupported, architecture), unread=unread)


def _local(folder: Path, files: tuple[HubFile, ...], state: JobState, reason: str, architecture: str = "") -> Manifest:
    content = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        content.update(f"{file.path}\0{file.sha256}\n".encode())
    ref = ModelRef(str(folder), f"local-{content.hexdigest()[:34]}", local=True)
    size = sum(file.size or 0 for file in files)
    return Manifest(ref, Layout.OPEN_CLIP, architecture, files, size, "", state, reason)


def _local_weights(path: Path) -> tuple[Path, str]:
    if _is_file(path) and path.suffix == ".safetensors":
        folder, found = path.parent, [path.name]
    elif path.is_dir():
        folder = path
        every = sorted(file.name for file in folder.glob("*.safetensors") if _is_file(file))
        every = [name for name in every if name not in LEARNERS] or every
        found = [name for name in WEIGHTS if name in every][:1] or every
    elif path.exists():
        raise UsageError(f"{path} is not a checkpoint", "give a folder, or a .safetensors file beside its config")
    else:
        raise UsageError(f"{path} does not exist", "give a folder, or a .safetensors file beside its config")
    if not _is_file(folder / CONFIG):
        raise Unsupported(
            f"{folder} has no {CONFIG}", f"put it beside the weights: a folder needs {CONFIG} and {WEIGHTS[0]}"
        )
    if not found:
        why = " (a pickle is never loaded)" if _is_file(folder / PICKLE) else ""
        raise Unsupported(f"{folder} has no .safetensors weights{why}", f"convert them to {WEIGHTS[0]}")
    if len(found) > 1:
        raise UsageError(f"{folder} holds {len(found)} .safetensors files", "name the one you mean")
    return folder, found[0]


def _names(folder: Path) -> Iterator[str]:
    """Of the files in a folder and in the folders in it."""
    inside = chain(folder.glob("*"), folder.glob("*/*"))
    return (path.relative_to(folder).as_posix() for path in islice(inside, MOST_LOOKED_AT) if path.is_file())


def _is_file(path: Path) -> bool:
    return path.exists() and stat.S_ISREG(path.stat().st_mode)


def _hashed(folder: Path, name: str) -> HubFile:
    with (folder / name).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return HubFile(name, (folder / name).stat().st_size, sha256=digest.hexdigest())
