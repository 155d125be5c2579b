"""An open_clip `CLIP` on torch as an `Encoder`. Only `load.py` builds one, from files that were checked."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from open_clip.transform import CenterCropOrPad, ResizeKeepRatio
from PIL import Image
from safetensors import safe_open
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from dife_scanner.errors import AuditError, Refused
from dife_scanner.models.checks import STEP_COUNTER, Inspection
from dife_scanner.models.config import ClipConfig, model_arguments
from dife_scanner.models.device import pick_device
from dife_scanner.models.intake import StagedFile
from dife_scanner.models.strict_json import shown

IMAGE_PREFIX = "visual."
SHARED = frozenset({"logit_scale", "logit_bias"})
"""Tensors that belong to neither tower."""
LENGTH_STEP = 8
"""Texts run at their own length rounded up to a multiple of this, so that a text's length never depends on others."""
BATCH = 32
"""Rows per batch on a CPU. A short batch is filled up: the bits of a row depend on how many go with it, and not on
which or where, so an embedding is the same whatever was asked together with it."""
_INTERPOLATIONS = {"bicubic": InterpolationMode.BICUBIC, "bilinear": InterpolationMode.BILINEAR}

Weights = dict[str, torch.Tensor]


class ClipEncoder:
    """The `Encoder` of a checkpoint in the open_clip layout; float32, evaluation mode, no gradients."""

    def __init__(self, model: Any, config: ClipConfig, towers: tuple[str, str], weights: StagedFile) -> None:
        self.model = model
        self.config = config
        self.image_tower, self.text_tower = towers
        self.weights_sha256 = weights.sha256
        self.image_size = config.vision.image_size
        self.context_length = config.text.context_length
        self.text_width = config.text.width
        self.embed_dim = config.embed_dim
        self.architecture = config.architecture
        self.logit_scale = float(model.logit_scale.exp())
        self.device = str(model.logit_scale.device)
        self._resize = picture_transform(config)
        scale = torch.tensor([config.preprocessing.mean, config.preprocessing.std], device=self.device)
        self._mean, self._std = scale.view(2, 1, 3, 1, 1)
        self._images_at_once = BATCH if self.device == "cpu" else 256
        self._texts_at_once = BATCH if self.device == "cpu" else 512

    @property
    def normalisation(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of a picture's channels, float32 [1, 3, 1, 1] each."""
        return self._mean, self._std

    def prepare(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize and crop `[n, h, w, 3]` exactly as open_clip's own transform does, to `[n, s, s, 3]`."""
        side = self.image_size
        prepared = np.empty((len(images), side, side, 3), np.uint8)
        for row, image in enumerate(images):
            prepared[row] = np.asarray(self._resize(Image.fromarray(image)))
        return prepared

    @torch.inference_mode()
    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed prepared pictures `[n, s, s, 3]` as rows `[n, d]` of length one."""
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (self.image_size, self.image_size, 3):
            raise ValueError(f"pictures have to be uint8 [n, {self.image_size}, {self.image_size}, 3]; see prepare()")
        found = np.empty((len(pixels), self.embed_dim), np.float32)
        for start in range(0, len(pixels), self._images_at_once):
            part = slice(start, start + self._images_at_once)
            rows = _filled(np.arange(len(pixels))[part], self._images_at_once)
            batch = torch.from_numpy(pixels[rows]).to(self.device).permute(0, 3, 1, 2)
            # full float32 and one algorithm per shape, so that a GPU repeats itself and agrees with a CPU
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
                embedded = self.model.visual((batch.float() / 255 - self._mean) / self._std)
            found[part] = _unit(embedded, "a picture")[: len(pixels[part])]
        return found

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed `n` texts as rows `[n, d]` of length one.

        Only positions up to the end token run: the tower is causal and read out there, so what follows cannot matter.
        """
        return self._embed([self._tokens(text) for text in texts], None)

    @torch.inference_mode()
    def encode_with_context(self, contexts: NDArray[np.float32], texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed `k` texts, each behind its own context vectors `[k, m, w]`, as rows `[k, d]` of length one."""
        self._check_contexts(contexts, len(texts))
        return self._embed([self._tokens(text, contexts.shape[1]) for text in texts], contexts)

    def _embed(self, tokens: Sequence[Sequence[int]], contexts: NDArray[np.float32] | None) -> NDArray[np.float32]:
        found = np.empty((len(tokens), self.embed_dim), np.float32)
        for length, rows in self._batches(tokens):
            filled = _filled(rows, self._texts_at_once)
            ids = torch.zeros(len(filled), length, dtype=torch.long)
            for row, text in enumerate(filled):
                ids[row, : len(tokens[text])] = torch.tensor(tokens[text])
            vectors = None if contexts is None else torch.from_numpy(contexts[filled]).to(self.device)
            found[rows] = _unit(self._read_out(ids.to(self.device), vectors), "a text")[: len(rows)]
        return found

    def _check_contexts(self, contexts: NDArray[np.float32], count: int) -> None:
        if contexts.dtype != np.float32 or contexts.ndim != 3 or len(contexts) != count:
            raise ValueError(f"contexts have to be float32 [{count}, m, {self.text_width}], one for each text")
        if contexts.shape[2] != self.text_width:
            raise AuditError(
                f"context vectors have {contexts.shape[2]} values and this model's tokens have {self.text_width}",
                "give the prompt learner that was made for this model",
            )
        if not bool(np.isfinite(contexts).all()):
            raise AuditError("context vectors hold NaN or infinite values", "check the prompt learner")

    def token_count(self, text: str) -> int:
        """Tokens of `text`, start and end tokens included, before any cut."""
        return len(tokenizer().encode(text)) + 2

    def _tokens(self, text: str, vectors: int = 0) -> list[int]:
        """Token ids of `text`, with as many zeros after the start token as context vectors take that place."""
        clip = tokenizer()
        tokens = [clip.sot_token_id, *[0] * vectors, *clip.encode(text), clip.eot_token_id]
        if len(tokens) > self.context_length:
            what = f"a text with {vectors} context vectors" if vectors else "a text"
            raise AuditError(
                f"{what} has {len(tokens)} tokens and the model reads {self.context_length}: {shown(text)}",
                "shorten the trigger, the template or the caption",
            )
        return tokens

    def _batches(self, tokens: Sequence[Sequence[int]]) -> Iterator[tuple[int, list[int]]]:
        by_length: dict[int, list[int]] = {}
        for row, text in enumerate(tokens):
            length = min(self.context_length, math.ceil(len(text) / LENGTH_STEP) * LENGTH_STEP)
            by_length.setdefault(length, []).append(row)
        for length, rows in sorted(by_length.items()):
            for start in range(0, len(rows), self._texts_at_once):
                yield length, rows[start : start + self._texts_at_once]

    def _read_out(self, ids: torch.Tensor, vectors: torch.Tensor | None) -> torch.Tensor:
        """`CLIP.encode_text` for ids `[n, l]` shorter than the context; `vectors` replace tokens from the second on."""
        model, length = self.model, ids.shape[1]
        words = model.token_embedding(ids)
        if vectors is not None:
            words[:, 1 : 1 + vectors.shape[1]] = vectors
        states = words + model.positional_embedding[:length]
        states = model.transformer(states, attn_mask=model.attn_mask[:length, :length])
        ends = states[torch.arange(len(ids), device=ids.device), ids.argmax(dim=-1)]
        projected: torch.Tensor = model.ln_final(ends) @ model.text_projection
        return projected


def _filled(rows: Sequence[int] | NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """`rows`, the last repeated until there are `size`."""
    return np.pad(np.asarray(rows, np.int64), (0, size - len(rows)), mode="edge")


def _unit(embeddings: torch.Tensor, what: str) -> NDArray[np.float32]:
    lengths = embeddings.norm(dim=-1, keepdim=True)
    if not bool(torch.isfinite(lengths).all()) or not bool((lengths > 0).all()):
        raise AuditError(f"the model embeds {what} as values that are not finite, or as zero", "it has no verdict")
    units: NDArray[np.float32] = (embeddings / lengths).float().cpu().numpy()
    return units


@cache
def tokenizer() -> Any:
    """CLIP's byte-pair encoding, as open_clip ships it."""
    return SimpleTokenizer()


def picture_transform(config: ClipConfig) -> Any:
    """PIL picture to PIL picture of the model's size: the first steps of open_clip's evaluation transform."""
    side, how = config.vision.image_size, config.preprocessing
    mode = _INTERPOLATIONS[how.interpolation]
    if how.resize_mode == "squash":
        return Resize((side, side), interpolation=mode)
    if how.resize_mode == "longest":
        return Compose(
            [ResizeKeepRatio(side, interpolation=mode, longest=1), CenterCropOrPad(side, fill=how.fill_color)]
        )
    return Compose([Resize(side, interpolation=mode), CenterCrop(side)])


# --- building -------------------------------------------------------------------------------------------------


def build(inspection: Inspection, weights: StagedFile, device: str) -> ClipEncoder:
    """An encoder from checked parts; raises `Refused` where a weight is not finite, `UsageError` for the device."""
    place = pick_device(device)
    tensors = read_weights(weights.path, inspection)
    towers = tower_hashes(tensors, inspection.config)
    with torch.device("meta"):  # no memory and no random numbers for values that are replaced at once
        model = CLIP(**model_arguments(inspection.config))
    model.load_state_dict(tensors, strict=True, assign=True)
    context = inspection.config.text.context_length
    model.attn_mask = torch.full((context, context), float("-inf")).triu_(1)
    model = model.eval().requires_grad_(False).to(place)
    return ClipEncoder(model, inspection.config, towers, weights)


def read_weights(path: Path, inspection: Inspection) -> Weights:
    """Every tensor under its open_clip name, as float32 copies; step counters become zero.

    Raises `Refused` naming the first tensor with a value that float32 does not hold as a finite number.
    """
    tensors: Weights = {}
    with safe_open(path, framework="pt", device="cpu") as file:
        for ours, theirs in inspection.names:
            if ours.endswith(STEP_COUNTER):
                tensors[ours] = torch.zeros((), dtype=torch.long)
                continue
            tensor = file.get_tensor(theirs).to(torch.float32, copy=True)
            if not bool(torch.isfinite(tensor).all()):
                raise Refused(
                    f"{path.name}: tensor {shown(theirs)} holds NaN or infinite values",
                    "do not load it; report it to its author",
                )
            tensors[ours] = tensor.reshape(()) if ours in SHARED else tensor
    if not 0 < float(tensors["logit_scale"].exp()) < float("inf"):
        raise Refused(f"{path.name}: 'logit_scale' is beyond any usable value", "do not load it")
    return tensors


def tower_hashes(tensors: Weights, config: ClipConfig) -> tuple[str, str]:
    """sha256 of the image tower and of the text tower.

    Equal where float32 values, architecture and input side (preprocessing; tokenizer and context) are equal, whatever
    the precision or naming they were stored in. Step counters and the logit scale belong to neither.
    """
    parts = config.as_json()
    shared = {"quick_gelu": config.quick_gelu, "embed_dim": config.embed_dim}
    image = {**shared, "vision": parts["vision"], "preprocessing": parts["preprocessing"]}
    text = {**shared, "text": parts["text"], "tokenizer": _tokenizer_hash()}
    names = sorted(name for name in tensors if name not in SHARED and not name.endswith(STEP_COUNTER))
    images = [name for name in names if name.startswith(IMAGE_PREFIX)]
    return _hash(image, images, tensors), _hash(text, [name for name in names if name not in set(images)], tensors)


def _hash(description: dict[str, Any], names: Sequence[str], tensors: Weights) -> str:
    digest = hashlib.sha256(b"dife tower 1\n" + json.dumps(description, sort_keys=True).encode())
    for name in names:
        tensor = tensors[name].contiguous()
        digest.update(f"\n{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().astype("<f4", copy=False).reshape(-1).data)
    return digest.hexdigest()


@cache
def _tokenizer_hash() -> str:
    return hashlib.sha256(Path(default_bpe()).read_bytes()).hexdigest()
