"""A prompt learner: context vectors in place of a template's words (CoOp), moved by the picture where it has a meta
network (CoCoOp). Kept as safetensors; nothing is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dife_scanner.errors import AuditError, Unreadable
from dife_scanner.models.header import Header, ParseLimits, parse_header
from dife_scanner.models.strict_json import shown
from dife_scanner.plain import plain
from dife_scanner.records import TriggerFile
from dife_scanner.triggers import files

FORMAT = "dife prompt learner 1"
MOST_VECTORS = 64
"""CoOp and CoCoOp use 4 to 16."""
WIDEST = 8192
"""As wide as a text tower may be (`models.layouts.open_clip`)."""
_LIMITS = ParseLimits(header_bytes=65_536, tensors=8)
_CONTEXT = "ctx"
_META = ("meta.1.weight", "meta.1.bias", "meta.2.weight", "meta.2.bias")
_LONGEST_TEMPLATE = 80
_CLASS_NAME_ALONE = "{}."
_ADVICE = "see docs/triggers.md for the format of a prompt learner"

Floats = NDArray[np.float32]


def names_class(template: str) -> bool:
    """Whether a prompt template has exactly one `{}`, the class name's place, and no other brace."""
    rest = template.replace("{}", "")
    return template.count("{}") == 1 and "{" not in rest and "}" not in rest


@dataclass(frozen=True, eq=False)
class MetaNetwork:
    """Linear, ReLU, linear: an image embedding [d] to a shift [w] of every context vector (CoCoOp: h = d / 16)."""

    weight_1: Floats
    """[h, d]"""
    bias_1: Floats
    """[h]"""
    weight_2: Floats
    """[w, h]"""
    bias_2: Floats
    """[w]"""

    @property
    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """All values, in the order of `_META`."""
        return self.weight_1, self.bias_1, self.weight_2, self.bias_2

    def check_reads(self, image_embeddings: Floats) -> None:
        """`AuditError` where embeddings [n, d] are another model's."""
        reads = self.weight_1.shape[1]
        if image_embeddings.shape[1:] != (reads,):
            raise AuditError(
                f"the prompt learner reads image embeddings of {reads} values and this model's have "
                f"{image_embeddings.shape[-1]}",
                "give the learner that was made for this model",
            )

    def shift(self, image_embeddings: Floats) -> Floats:
        """[n, d] to [n, w]; a row's values do not depend on the others, so that a batch may be split anywhere."""
        shifts = [self._shift_one(row) for row in image_embeddings]
        shape = (len(image_embeddings), len(self.bias_2))
        return np.array(shifts, dtype=np.float32).reshape(shape)

    def _shift_one(self, embedding: Floats) -> Floats:
        hidden = np.maximum(self.weight_1 @ embedding + self.bias_1, 0.0)
        return np.asarray(self.weight_2 @ hidden + self.bias_2)


@dataclass(frozen=True, eq=False)
class PromptLearner:
    """Checked on construction: `Unreadable` for a shape that does not fit or a value that is not finite."""

    context: Floats
    """float32 [m, w]: m vectors as wide as the text tower's tokens; they stand right after the start token."""
    meta: MetaNetwork | None = None
    template: str = _CLASS_NAME_ALONE
    """The text after the vectors; `{}` is the class name."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def conditioned(self) -> bool:
        """Whether contexts depend on the picture."""
        return self.meta is not None

    def contexts(self, image_embeddings: Floats) -> Floats:
        """Context vectors [n, m, w] for unit image embeddings [n, d]. `AuditError` where d is another model's."""
        if self.meta is None:
            count = len(image_embeddings)
            return np.broadcast_to(self.context, (count, *self.context.shape))
        self.meta.check_reads(image_embeddings)
        shifts = self.meta.shift(image_embeddings)
        return self.context[None] + shifts[:, None]

    def texts(self, class_names: Sequence[str]) -> tuple[str, ...]:
        """What follows the vectors, one text per class."""
        return tuple(self.template.replace("{}", name) for name in class_names)


@lru_cache(maxsize=8)
def of(file: TriggerFile) -> PromptLearner:
    """The learner a trigger refers to. `TriggerFileError`: the file is gone or another; `Unreadable`: its content."""
    return parse(files.content(file), file.path)


def read(path: Path) -> PromptLearner:
    """The learner in a `.safetensors` file; errors as in `of`."""
    return of(files.describe(path))


def parse(raw: bytes, name: str) -> PromptLearner:
    """A learner from the bytes of a safetensors file called `name` in messages.

    Tensors: `ctx` [m, w] and, for an image-conditioned one, all of `meta.1.weight` [h, d], `meta.1.bias` [h],
    `meta.2.weight` [w, h], `meta.2.bias` [w]; F32 or F16. Raises `Unreadable`, and what
    `parse_header` raises.
    """
    header = parse_header(BytesIO(raw), name, _LIMITS)
    _check_names(header, name)
    tensors = _loaded(raw, name)
    template = dict(header.metadata).get("template", _CLASS_NAME_ALONE)
    try:
        return PromptLearner(tensors[_CONTEXT], _meta_network(tensors), template)
    except Unreadable as error:
        raise Unreadable(f"{name}: {error.what}", error.advice) from error


def _loaded(raw: bytes, name: str) -> dict[str, Floats]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return {key: value.astype(np.float32) for key, value in load(raw).items()}
    except SafetensorError as error:
        raise Unreadable(
            f"{name} is not read by the safetensors library: {plain(str(error), 200)}", _ADVICE
        ) from error


def _meta_network(tensors: Mapping[str, Floats]) -> MetaNetwork | None:
    if _META[0] not in tensors:
        return None
    return MetaNetwork(*(tensors[key] for key in _META))


def save(learner: PromptLearner, path: Path) -> TriggerFile:
    """Write a learner so that `read` gives it back value for value."""
    from safetensors.numpy import save_file

    metadata = {"format": FORMAT, "template": learner.template}
    save_file(_tensors(learner), path, metadata=metadata)
    return files.describe(path)


def _tensors(learner: PromptLearner) -> dict[str, Floats]:
    found = {_CONTEXT: np.ascontiguousarray(learner.context)}
    if learner.meta is not None:
        for key, values in zip(_META, learner.meta.arrays, strict=True):
            found[key] = np.ascontiguousarray(values)
    return found


# --- checks ---------------------------------------------------------------------------------------------------


def _check_names(header: Header, name: str) -> None:
    found = {entry.name for entry in header.tensors}
    if found not in ({_CONTEXT}, {_CONTEXT, *_META}):
        raise Unreadable(
            f"{name} is not a prompt learner: it holds {', '.join(map(shown, sorted(found)))}",
            f"it has to hold {_CONTEXT}, and for image conditioning {', '.join(_META)}",
        )
    for entry in header.tensors:
        if entry.dtype not in ("F32", "F16"):
            raise Unreadable(
                f"{name}: tensor {shown(entry.name)} is stored as {entry.dtype}",
                "store it as F32 or F16",
            )


def _check(learner: PromptLearner) -> None:
    _check_context(learner.context)
    arrays = [learner.context]
    if learner.meta is not None:
        _check_meta(learner.meta, learner.context.shape[1])
        arrays += learner.meta.arrays
    _check_values(arrays)
    if not names_class(learner.template) or len(learner.template) > _LONGEST_TEMPLATE:
        raise Unreadable("its template has not exactly one {} for the class name", _ADVICE)


def _check_values(arrays: Sequence[Floats]) -> None:
    if any(array.dtype != np.float32 for array in arrays):
        raise Unreadable("its values are not float32", _ADVICE)
    if not all(np.isfinite(array).all() for array in arrays):
        raise Unreadable(
            "it holds NaN or infinite values",
            "do not use it; report it to its author",
        )


def _check_context(context: Floats) -> None:
    shape = context.shape
    if len(shape) != 2 or not 1 <= shape[0] <= MOST_VECTORS or not 1 <= shape[1] <= WIDEST:
        raise Unreadable(
            f"context vectors have the shape {list(shape)}, not [1..{MOST_VECTORS}, 1..{WIDEST}]",
            _ADVICE,
        )


def _check_meta(meta: MetaNetwork, width: int) -> None:
    hidden, reads = meta.weight_1.shape if meta.weight_1.ndim == 2 else (0, 0)
    expected = [(hidden, reads), (hidden,), (width, hidden), (width,)]
    found = [array.shape for array in meta.arrays]
    if found != expected or not 1 <= max(hidden, reads) <= WIDEST:
        shapes = [list(shape) for shape in found]
        raise Unreadable(
            f"the meta network's shapes {shapes} do not fit vectors of {width} values",
            _ADVICE,
        )
