"""An open_clip `CLIP` on torch as an `Encoder`. Only `load.py` builds one, from files that were checked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dife_scanner.errors import AuditError
from dife_scanner.models.activations import WayBack
from dife_scanner.models.bfloat16 import Near, Transformer
from dife_scanner.models.config import ClipConfig, TextConfig
from dife_scanner.models.device import pick_device
from dife_scanner.models.inspection import Inspection
from dife_scanner.models.intake import StagedFile
from dife_scanner.models.layer_changes import layer_changes
from dife_scanner.models.open_clip_alone import (
    CLIP,
    CenterCrop,
    CenterCropOrPad,
    Compose,
    InterpolationMode,
    Resize,
    ResizeKeepRatio,
    resize_pos_embed,
    resize_text_pos_embed,
)
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tensors import model_arguments
from dife_scanner.models.tokenizers import Tokenizer, clips_own
from dife_scanner.models.unfilled import unfilled
from dife_scanner.models.weights import Weights, cast_towers, read_weights, tower_hashes
from dife_scanner.records import CastTowers, LayerChange

LENGTH_STEP = 8
"""Texts run at their own length rounded up to a multiple of this, so that a text's length never depends on others."""
BATCH = 32
"""Rows per batch on a CPU. A short batch is filled up: the bits of a row depend on how many go with it, and not on
which or where, so an embedding is the same whatever was embedded together with it."""
GPU_IMAGES = 256
"""Pictures per batch on a GPU …"""
GPU_TEXTS = 512
"""… and texts; the same rule holds."""
_INTERPOLATIONS = {
    "bicubic": InterpolationMode.BICUBIC,
    "bilinear": InterpolationMode.BILINEAR,
}
_LEAST_TOWER = {"image_size": 16, "patch_size": 16, "width": 64, "layers": 1}
"""Built to be replaced at once."""
_PLACEHOLDER = 0
"""Token id in a place that a context vector takes."""

Pixels = NDArray[np.uint8]
Embeddings = NDArray[np.float32]
Tokens = list[int]


class ClipEncoder:
    """The `Encoder` of a checkpoint in the open_clip layout; float32, evaluation mode, no gradients."""

    def __init__(
        self,
        model: Any,
        config: ClipConfig,
        towers: tuple[str, str],
        weights: StagedFile,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        """Without a `tokenizer` texts are cut by CLIP's own."""
        self.model = model
        self.config = config
        self.tokenizer = tokenizer or clips_own()
        self.image_tower, self.text_tower = towers
        self.weights_sha256 = weights.sha256
        self.image_size = config.vision.image_size
        self.context_length = config.text.context_length
        self.text_width = config.text.width
        self.embed_dim = config.embed_dim
        self.architecture = config.architecture
        self.logit_scale = float(model.logit_scale.exp())
        self.way_back = WayBack()
        """How searches take gradients through its towers."""
        self.near = Near()
        """What searches read with in place of the model's own parts."""
        self.device = str(model.logit_scale.device)
        self._resize = picture_transform(config)
        self._mean, self._std = _channel_statistics(config, self.device)
        on_cpu = self.device == "cpu"
        self._images_at_once = BATCH if on_cpu else GPU_IMAGES
        self._texts_at_once = BATCH if on_cpu else GPU_TEXTS

    def cast_towers(self) -> tuple[CastTowers, ...]:
        """Hashes of its towers in copies saved in shorter types; of a model under its own configuration."""
        return cast_towers(self.model.state_dict(), self.config, self.tokenizer)

    @property
    def search_transformer(self) -> Transformer:
        """What searches read texts with where they need no gradients."""
        own: Transformer = self.model.transformer
        return self.near.transformer or own

    @property
    def search_visual(self) -> Any:
        """What searches read pictures with, float [n, 3, s, s] -> [n, d]."""
        return self.near.visual or self.model.visual

    def layer_changes(self, base: ClipEncoder) -> tuple[LayerChange, ...]:
        """How far each layer is from that of `base`."""
        return layer_changes(self.model.state_dict(), base.model.state_dict())

    @property
    def normalisation(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of a picture's channels, float32 [1, 3, 1, 1] each."""
        return self._mean, self._std

    # --- pictures ---------------------------------------------------------------------------------------------

    def prepare(self, images: Pixels) -> Pixels:
        """Resize and crop `[n, h, w, 3]` exactly as open_clip's own transform does, to `[n, s, s, 3]`."""
        side = self.image_size
        prepared = np.empty((len(images), side, side, 3), np.uint8)
        for row, image in enumerate(images):
            prepared[row] = np.asarray(self._resize(Image.fromarray(image)))
        return prepared

    @torch.inference_mode()
    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embed prepared pictures `[n, s, s, 3]` as rows `[n, d]` of length one."""
        self._check_pixels(pixels)
        found = np.empty((len(pixels), self.embed_dim), np.float32)
        for rows in _batches(range(len(pixels)), self._images_at_once):
            filled = _filled(rows, self._images_at_once)
            embedded = _unit(self._image_tower_of(pixels[filled]), "a picture")
            found[rows] = embedded[: len(rows)]
        return found

    def _check_pixels(self, pixels: Pixels) -> None:
        side = self.image_size
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (side, side, 3):
            raise ValueError(f"pictures have to be uint8 [n, {side}, {side}, 3]; see prepare()")

    def _image_tower_of(self, pixels: Pixels) -> torch.Tensor:
        """Embeddings [n, d] of one batch, not yet of length one."""
        batch = torch.from_numpy(pixels).to(self.device)
        batch = batch.permute(0, 3, 1, 2)  # channels first
        # full float32 and one algorithm per shape, so that a GPU repeats itself and agrees with a CPU
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            levels = batch.float() / 255
            embedded: torch.Tensor = self.model.visual((levels - self._mean) / self._std)
        return embedded

    # --- texts ------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed `n` texts as rows `[n, d]` of length one.

        Only positions up to the end token run: the tower is causal and read out there, so what follows cannot matter.
        """
        tokens = [self._tokens(text) for text in texts]
        return self._embed(tokens, None)

    @torch.inference_mode()
    def encode_with_context(self, contexts: Embeddings, texts: Sequence[str]) -> Embeddings:
        """Embed `k` texts, each behind its own context vectors `[k, m, w]`, as rows `[k, d]` of length one."""
        self._check_contexts(contexts, len(texts))
        vectors = contexts.shape[1]
        tokens = [self._tokens(text, vectors) for text in texts]
        return self._embed(tokens, contexts)

    def token_count(self, text: str) -> int:
        """Tokens of `text`, start and end tokens included, before any cut."""
        return len(self.tokenizer.encode(text)) + self.tokenizer.around

    def _check_contexts(self, contexts: Embeddings, count: int) -> None:
        if contexts.dtype != np.float32 or contexts.ndim != 3 or len(contexts) != count:
            raise ValueError(
                f"contexts have to be float32 [{count}, m, {self.text_width}], one for each text"
            )
        width = contexts.shape[2]
        if width != self.text_width:
            raise AuditError(
                f"context vectors have {width} values and this model's tokens have {self.text_width}",
                "give the prompt learner that was made for this model",
            )
        if not np.isfinite(contexts).all():
            raise AuditError(
                "context vectors hold NaN or infinite values",
                "check the prompt learner",
            )

    def _tokens(self, text: str, vectors: int = 0) -> Tokens:
        """What the tower reads of `text`, with as many placeholders before it as context vectors take that place."""
        ids = [_PLACEHOLDER] * vectors + list(self.tokenizer.encode(text))
        tokens = framed(self.tokenizer, ids, self.config.text)
        if len(tokens) > self.context_length:
            raise self._too_long(text, len(tokens), vectors)
        check_rows(tokens, self.config.text.vocabulary)
        return tokens

    def _too_long(self, text: str, tokens: int, vectors: int) -> AuditError:
        what = "a text"
        if vectors:
            what = f"a text with {vectors} context vectors"
        return AuditError(
            f"{what} has {tokens} tokens and the model reads {self.context_length}: {shown(text)}",
            "shorten the trigger, the template or the caption",
        )

    def _embed(self, tokens: Sequence[Tokens], contexts: Embeddings | None) -> Embeddings:
        found = np.empty((len(tokens), self.embed_dim), np.float32)
        for length, same_length in self._by_length(tokens):
            for rows in _batches(same_length, self._texts_at_once):
                filled = _filled(rows, self._texts_at_once)
                batch = [tokens[row] for row in filled]
                vectors = None if contexts is None else contexts[filled]
                embedded = _unit(self._text_tower_of(batch, length, vectors), "a text")
                found[rows] = embedded[: len(rows)]
        return found

    def _by_length(self, tokens: Sequence[Tokens]) -> list[tuple[int, list[int]]]:
        """(length, rows) of the texts that run at one length, shortest first."""
        rows: dict[int, list[int]] = {}
        for row, text in enumerate(tokens):
            rows.setdefault(self._run_length(text), []).append(row)
        return sorted(rows.items())

    def _run_length(self, text: Tokens) -> int:
        steps = math.ceil(len(text) / LENGTH_STEP)
        return min(self.context_length, steps * LENGTH_STEP)

    def _text_tower_of(
        self,
        texts: Sequence[Tokens],
        length: int,
        vectors: Embeddings | None,
    ) -> torch.Tensor:
        """Embeddings [n, d] of one batch, not yet of length one; `vectors` replace the first tokens of each text."""
        ids = padded(texts, length).to(self.device)
        words = self.model.token_embedding(ids)
        if vectors is not None:
            first = self.tokenizer.first
            words[:, first : first + vectors.shape[1]] = torch.from_numpy(vectors).to(self.device)
        ends = [read_at(self.tokenizer, text, self.config.text) for text in texts]
        return read_out(self.model, words, torch.tensor(ends, device=ids.device))


def framed(tokenizer: Tokenizer, ids: Sequence[int], text: TextConfig) -> Tokens:
    """What a text tower reads for the ids of a text, with what fills its places where that is read too."""
    tokens = tokenizer.frame(ids, text.context_length)
    if not text.causal or text.reads == "last":
        tokens += [tokenizer.pad] * (text.context_length - len(tokens))
    return tokens


def read_at(tokenizer: Tokenizer, tokens: Tokens, text: TextConfig) -> int:
    """The place at which the tower is read out for a framed text."""
    return len(tokens) - 1 if text.reads == "last" else tokenizer.read_at(tokens)


def read_out(
    model: Any, words: torch.Tensor, ends: torch.Tensor, transformer: Transformer | None = None
) -> torch.Tensor:
    """`CLIP.encode_text` from token embeddings [n, l, w] on, l at most the context, read at the places `ends` [n].

    Through the layers of `transformer`, where they are not the model's own.
    """
    length = words.shape[1]
    states = words + model.positional_embedding[:length]
    mask = model.attn_mask
    layers = transformer or model.transformer
    states = layers(states, attn_mask=None if mask is None else mask[:length, :length])
    rows = torch.arange(len(words), device=words.device)
    return projected(model, states[rows, ends])


def projected(model: Any, states: torch.Tensor) -> torch.Tensor:
    """What texts are embedded as, from their states behind the last layer [n, w] -> [n, d]."""
    read: torch.Tensor = model.ln_final(states)
    projection = model.text_projection
    if projection is None:
        return read
    embedded: torch.Tensor = projection(read) if callable(projection) else read @ projection
    return embedded


def check_rows(tokens: Tokens, rows: int) -> None:
    """Raise `AuditError` where a text holds an id that a token table of so many rows lacks."""
    if max(tokens, default=0) >= rows:
        raise AuditError(
            f"a text holds token {max(tokens)} and the model has rows for {rows}",
            "its tokenizer was not made for it; report it to its author",
        )


def are_usable(lengths: torch.Tensor) -> bool:
    """Whether embeddings of these lengths can be scored: finite and not zero."""
    return bool((lengths.isfinite() & (lengths > 0)).all())


def _batches(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _channel_statistics(config: ClipConfig, device: str) -> torch.Tensor:
    """Mean and standard deviation of a picture's channels, float32 [2, 1, 3, 1, 1]."""
    how = config.preprocessing
    statistics = torch.tensor([how.mean, how.std], device=device)
    return statistics.view(2, 1, 3, 1, 1)


def _filled(rows: Sequence[int] | NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """`rows`, the last repeated until there are `size`."""
    missing = size - len(rows)
    return np.pad(np.asarray(rows, np.int64), (0, missing), mode="edge")


def padded(tokens: Sequence[Tokens], length: int) -> torch.Tensor:
    """Token ids int64 [n, length], zeros behind each text."""
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    written = np.arange(length) < lengths[:, None]
    ids = np.zeros(written.shape, np.int64)
    ids[written] = list(itertools.chain.from_iterable(tokens))
    return torch.from_numpy(ids)


def _unit(embeddings: torch.Tensor, what: str) -> Embeddings:
    """Rows of length one. `AuditError` where one is not finite, or zero."""
    lengths = embeddings.norm(dim=-1, keepdim=True)
    if not are_usable(lengths):
        raise unusable(what)
    units: Embeddings = (embeddings / lengths).float().cpu().numpy()
    return units


def unusable(what: str) -> AuditError:
    """The error for embeddings that are not `are_usable`."""
    return AuditError(
        f"the model embeds {what} as values that are not finite, or as zero",
        "it has no verdict",
    )


def picture_transform(config: ClipConfig) -> Any:
    """PIL picture to PIL picture of the model's size: the first steps of open_clip's evaluation transform."""
    side = config.vision.image_size
    how = config.preprocessing
    mode = _INTERPOLATIONS[how.interpolation]
    if how.resize_mode == "squash":
        return Resize((side, side), interpolation=mode)
    if how.resize_mode == "shortest":
        return Compose([Resize(side, interpolation=mode), CenterCrop(side)])
    shrink = ResizeKeepRatio(side, interpolation=mode, longest=1)
    return Compose([shrink, CenterCropOrPad(side, fill=how.fill_color)])


# --- building -------------------------------------------------------------------------------------------------


def build(
    inspection: Inspection,
    weights: StagedFile,
    device: str,
    tokenizer: Tokenizer | None = None,
) -> ClipEncoder:
    """An encoder from checked parts, with CLIP's own tokenizer if with no other.

    Raises `Unreadable` where a weight is not finite, `UsageError` for the device.
    """
    place = pick_device(device)
    tensors = read_weights(weights.path, inspection, tokenizer)
    towers = tower_hashes(tensors, inspection.config, tokenizer)
    model = _filled_model(inspection.config, tensors).to(place)
    return ClipEncoder(model, inspection.config, towers, weights, tokenizer)


def _filled_model(config: ClipConfig, tensors: Weights) -> Any:
    """open_clip's `CLIP` with these tensors, in evaluation mode, without gradients."""
    model = _empty_model(config)
    resize_pos_embed(tensors, model)
    resize_text_pos_embed(tensors, model)
    model.load_state_dict(tensors, strict=True, assign=True)
    if config.text.causal:
        model.attn_mask = _causal_mask(config.text.context_length)
    return model.eval().requires_grad_(False)


def _empty_model(config: ClipConfig) -> Any:
    """open_clip's `CLIP`; its image tower is one of timm's where the configuration says so."""
    arguments = model_arguments(config)
    trunk = config.vision.trunk
    with unfilled():
        model = CLIP(**arguments | ({"vision_cfg": _LEAST_TOWER} if trunk else {}))
    if trunk:
        from dife_scanner.models import (
            timm_models,  # timm is slow to import, and most towers need none of it
        )

        with torch.device("meta"):
            model.visual = timm_models.build(config.vision, config.embed_dim)
    return model


def _causal_mask(context: int) -> torch.Tensor:
    """[c, c] to be added to attention: no token sees those behind it."""
    return torch.full((context, context), float("-inf")).triu_(1)
