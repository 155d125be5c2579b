"""What the names of a repository's files say: which hold weights, and which of them belong together. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from dife_scanner.records import HubFile

LEARNERS = ("prompt_learner.safetensors", "learner.safetensors")
"""A prompt learner next to the weights, in the order of preference; only the first present is read."""
MOST_NAMED = 20
"""Files that are named of each kind, at most: a training run leaves one for each epoch."""

_SAFE = ("model", "safetensors")
_PICKLED = ("pytorch_model", "bin")
"""What transformers saves, by its name and ending."""
PICKLED = ("bin", "pt", "pth", "ckpt")
_WEIGHTS = re.compile(r"\.(safetensors|bin|pt|pth|ckpt|pth\.tar)$")
_ANY_WEIGHTS = re.compile(
    r"\.(safetensors|pt|pth|bin|ckpt|pkl|pickle|npy|npz|h5|keras|tar|onnx|gguf|msgpack|tflite|ot|mlmodel)(-\d+)?$"
)
"""What some other program may load."""
_LEARNER = re.compile(
    r"prompt[-_]?learner|(^|[/_.-])learner|(^|[/_.-])(co)?coop($|[/_.-])|(^|/)model(-best)?\.pth\.tar(-\d+)?$"
)
"""Names that CoOp, CoCoOp and what was made of them give a prompt learner, folders included; `model.pth.tar-50` is the
training framework's."""
_STATE_OF_TRAINING = re.compile(
    r"(^|/)(training_args|trainer_state|optim(izer)?|scheduler|lr_scheduler|scaler|sampler|dataloader|rng_state|"
    r"random_states)([._-][^/]*)?$|(^|/)(runs|logs|wandb)/"
)
TRAINING_SHARDS = re.compile(
    r"(^|/)(mp_rank_|zero_pp_rank_|bf16_zero_pp_rank_)|_optim_states\.pt$|\.distcp$|(^|/)pytorch_model_fsdp"
)
"""What DeepSpeed and FSDP leave for each process: a part of every tensor."""
_OF_OTHER_FORMATS = re.compile(
    r"\.ml(package|modelc)/|(^|/)openvino_|ggml|\.ncnn\.bin$|(^|/)onnx/|(^|/)(coreml|mlx|qnn|tensorrt|_?openvino)/"
)
_SHARD = re.compile(
    r"(?P<stem>.+?)(?P<variant>\.[a-z0-9_]+)?-(?P<number>\d{5})-of-(?P<count>\d{5})(\.[a-z0-9_]+)?"
    r"\.(?P<ending>safetensors|bin)"
)
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Weights:
    """The files of one checkpoint."""

    files: tuple[str, ...]
    index: str = ""
    missing: str = ""
    """What is not there of several shards, in words; empty where all are."""


def folder_of(path: str) -> str:
    """Everything before the name, with the slash: `text_encoder/`; empty for a file of the root."""
    return path[: path.rfind("/") + 1]


def is_tensor_file(path: str) -> bool:
    """Whether a name ends as those of tensors in a format that is read, whatever they belong to."""
    return bool(_WEIGHTS.search(path.lower()))


def is_weights(path: str) -> bool:
    """Whether a name is that of tensors in a format that is read: safetensors, or pickled by torch."""
    lower = path.lower()
    if not _WEIGHTS.search(lower) or _LEARNER.search(lower):
        return False
    if _STATE_OF_TRAINING.search(lower) or TRAINING_SHARDS.search(lower):
        return False
    return not _OF_OTHER_FORMATS.search(lower)


def looks_like_learner(path: str) -> bool:
    """Whether a name is one that training gives a prompt learner."""
    lower = path.lower()
    return bool(_ANY_WEIGHTS.search(lower) and _LEARNER.search(lower))


def other_weights(paths: Iterable[str], audited: Collection[str]) -> tuple[str, ...]:
    """Those that look like weights, and are neither `audited` nor a prompt learner; by name."""
    found: list[str] = []
    for path in set(paths) - set(audited):
        lower = path.lower()
        if _ANY_WEIGHTS.search(lower) and not _LEARNER.search(lower):
            found.append(path)
    return tuple(sorted(found)[:MOST_NAMED])


def in_order(path: str) -> tuple[object, ...]:
    """A key that puts `epoch_9.pt` before `epoch_10.pt`, and numbers before words."""
    parts: list[tuple[int, int, str]] = []
    for part in _DIGITS.split(path.lower()):
        parts.append((0, int(part), "") if part.isdigit() else (1, 0, part))
    return tuple(parts)


def usual_weights(paths: Collection[str], folder: str, stems: Collection[str]) -> Weights | None:
    """The weights in `folder` with one of the names that a library gives: safetensors first, a part of a set last.

    `stems` are those names without their ending, `model` for `model.safetensors`, in the order of preference.
    """
    partial: list[Weights] = []
    for ending in ("safetensors", *PICKLED):
        for stem in stems:
            whole = f"{folder}{stem}.{ending}"
            if whole in paths:
                return Weights((whole,))
            shards = _shards(paths, folder, stem, ending)
            if shards and not shards.missing:
                return shards
            if shards:
                partial.append(shards)
            variant = _variant(paths, folder, stem, ending)
            if variant:
                return Weights((variant,))
    return partial[0] if partial else None


def transformers_weights(paths: Collection[str], folder: str) -> Weights | None:
    """Those that transformers loads where nobody names a variant, else those with one of its names.

    An index counts before a pickle (transformers 5.24); without files where there is an index and none has such a name.
    """
    for stem, ending in (_SAFE, _PICKLED):
        whole = f"{folder}{stem}.{ending}"
        if whole in paths:
            return Weights((whole,))
        index = f"{whole}.index.json"
        if index in paths:
            shards = _shards(paths, folder, stem, ending)
            missing = (
                "incomplete: the files that its index names are not there, or have other names"
            )
            return shards or Weights((), index, missing)
    return usual_weights(paths, folder, (_SAFE[0], _PICKLED[0]))


def largest(files: Mapping[str, HubFile], paths: Collection[str]) -> str:
    """The one of `paths` that most likely is the checkpoint: safetensors first, then the largest, then the last."""

    def rank(path: str) -> tuple[object, ...]:
        return (path.endswith(".safetensors"), files[path].size or 0, in_order(path))

    return max(paths, key=rank)


def _shards(paths: Collection[str], folder: str, stem: str, ending: str) -> Weights | None:
    """The parts that a library split one checkpoint into, in the order of their numbers."""
    sets: dict[tuple[str, int], dict[int, str]] = {}
    for path in paths:
        if not path.startswith(folder + stem):
            continue
        found = _SHARD.fullmatch(path.removeprefix(folder))
        if found and found["stem"] == stem and found["ending"] == ending:
            key = (found["variant"] or "", int(found["count"]))
            sets.setdefault(key, {})[int(found["number"])] = path
    if not sets:
        return None
    # the set that lacks least, then the one without a variant
    key = min(sets, key=lambda key: (key[1] - len(sets[key]), key))
    parts = sets[key]
    index = f"{folder}{stem}.{ending}.index.json"
    files = tuple(parts[number] for number in sorted(parts))
    missing = "" if len(parts) == key[1] else f"{len(parts)} of {key[1]} shards are there"
    return Weights(files, index if index in paths else "", missing)


def _variant(paths: Collection[str], folder: str, stem: str, ending: str) -> str:
    """`model.fp16.safetensors` where there is no `model.safetensors`."""
    name = re.compile(r"\.[a-z0-9_]{2,12}\." + ending)
    beginning = folder + stem
    found = [path for path in paths if path.startswith(beginning)]
    found = [path for path in sorted(found) if name.fullmatch(path.removeprefix(beginning))]
    return found[0] if found else ""


def with_its_shards(paths: Collection[str], path: str) -> Weights:
    """`path`, or all the parts where it is one of several."""
    folder = folder_of(path)
    part = _SHARD.fullmatch(path.removeprefix(folder))
    shards = _shards(paths, folder, part["stem"], part["ending"]) if part else None
    return shards or Weights((path,))
