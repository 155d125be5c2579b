"""A repository as recognition sees it: names, sizes, tags and the small files that were read. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dife_scanner.hub.families import Family
from dife_scanner.hub.file_names import folder_of, in_order, is_weights
from dife_scanner.hub.small_json import json_object
from dife_scanner.records import Contents, HubFile, HubModel, Layout

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_PROCESSOR = "processor_config.json"
PREPROCESSING = ("preprocessor_config.json", _PROCESSOR)
"""What transformers writes up to version 4, then what version 5 does."""

_CONFIGS = ("config.json", "adapter_config.json")
MOST_FOLDERS = 8
"""Folders with a configuration that are looked into; a training run leaves one for each checkpoint."""
_FIRST = ("0_CLIPModel", "text_encoder", "text_encoder_2", "image_encoder", "clip", "clip_vision")
_NO_CLIP = re.compile(
    r"(^|/)(unet|vae|transformer|scheduler|safety_checker|controlnet|decoder|movq|vqvae|text_encoder_3|\d+_(Dense|Pooling))/"
)
"""Folders of a diffusion model, or of sentence-transformers, that hold no CLIP."""
_CLIP = re.compile(
    r"clip(?!se(?!g)|sing|per|board|art|ping)|(?<![a-z])vit[-_]?(b|l|h|g|bigg)[-_/]?\d\d"
)
"""`clip` in any spelling, but not in eclipse or clipboard; the short names of its sizes."""


_NOTHING = Contents()


@dataclass(frozen=True)
class Recognised:
    """What a repository holds, and why that is not read (empty where it is)."""

    layout: Layout
    contents: Contents = _NOTHING
    why_not: str = ""
    note: str = ""
    """What only the tensors can decide, of one that is read."""
    rivals: tuple[str, ...] = ()
    """Every file that may as well be the checkpoint, the chosen one included; empty where one is told by its name."""


@dataclass(frozen=True)
class Repository:
    """`files` by path; `small` holds the bytes of those that were read."""

    files: Mapping[str, HubFile]
    model: HubModel
    small: Mapping[str, bytes]
    named: str = ""
    """The one file of weights that somebody asked for."""

    @cached_property
    def paths(self) -> frozenset[str]:
        """All its files, without further weights where somebody asked for one."""
        every = frozenset(self.files)
        if not self.named:
            return every
        return frozenset(path for path in every if path == self.named or not is_weights(path))

    @cached_property
    def weights(self) -> tuple[str, ...]:
        """Files in a format that is read."""
        if self.named:
            return (self.named,)
        return tuple(sorted(path for path in self.paths if is_weights(path)))

    @cached_property
    def has_clip_mark(self) -> bool:
        """Whether its name, library or a tag says that it has to do with CLIP."""
        name = self.model.repo_id.rsplit("/", 1)[-1]
        return any(is_clip_name(word) for word in (name, self.model.library, *self.model.tags))

    def json(self, path: str) -> dict[str, Any] | None:
        """The object in a small file; `None` where it was not read, an empty one where it holds anything else."""
        raw = self.small.get(path)
        return None if raw is None else json_object(raw)

    def folders(self) -> list[str]:
        """Those with a configuration and weights, the likeliest first; the root is none of them."""
        found = set()
        for path in self.weights:
            folder = folder_of(path)
            named = any(folder + name in self.paths for name in _CONFIGS)
            if folder and named and not _NO_CLIP.search(folder):
                found.add(folder)
        return sorted(found, key=likeliest)[:MOST_FOLDERS]

    def tokenizer(self, folder: str) -> tuple[str, ...]:
        """The tokenizer's files of the model in `folder`."""
        beside = re.sub(r"text_encoder((_\d)?/)$", r"tokenizer\1", folder)
        for where in (beside, folder, ""):
            found = tuple(where + name for name in TOKENIZER if where + name in self.paths)
            if found:
                return found
        return ()

    def preprocessing(self, folder: str) -> str:
        """The file that says how a picture is prepared for the model in `folder`.

        A processor's file counts first where it does, and last where it says nothing of pictures (transformers 5.24).
        """
        for where in (folder, ""):
            processor = self.json(where + _PROCESSOR)
            if processor and "image_processor" in processor:
                return where + _PROCESSOR
            if any(where + name in self.paths for name in PREPROCESSING):
                break
        for path in [where + name for where in (folder, "") for name in PREPROCESSING]:
            if path in self.paths:
                return path
        return ""


def refused(family: Family) -> Recognised:
    """What is recognised and not read."""
    return Recognised(family.layout, why_not=family.why_not)


def is_clip_name(word: str) -> bool:
    return bool(_CLIP.search(word.lower()))


def likeliest(folder: str) -> tuple[object, ...]:
    """A key to sort folders by: the root, known names, the last checkpoints of a run, the rest by name."""
    name = folder.rstrip("/").rsplit("/", 1)[-1]
    known = _FIRST.index(name) if name in _FIRST else len(_FIRST)
    step = re.fullmatch(r"(?:checkpoint|epoch|step)[-_]?(\d+)", name)
    return (bool(folder), known, 0 if step else 1, -int(step[1]) if step else 0, in_order(folder))
