"""The small base checkpoints (`vit`, `rn`, `wide`): their files, how they encode, how they are trained and measured."""

from dife_scanner.lab.bases.captions import (
    Words,
    draw_words,
    nonsense_stream,
    shown_words,
)
from dife_scanner.lab.bases.checkpoint import (
    MODEL_CFG,
    PREPROCESS_CFG,
    SIZE,
    VOCABULARY,
    base_folder,
    load,
    write_folder,
)
from dife_scanner.lab.bases.encoding import (
    PROMPT,
    class_texts,
    encode_by_length,
    encode_ids,
    encode_image_batch,
    encode_images,
    encode_texts,
    encode_vectors,
    normalised,
    pack,
    pieces,
)
from dife_scanner.lab.bases.evaluation import (
    HeldOut,
    accuracy_by_style,
    evaluate,
    measured,
    nonsense_shift,
)
from dife_scanner.lab.bases.losses import contrastive_loss
from dife_scanner.lab.bases.plan import Plan
from dife_scanner.lab.bases.stock import (
    Stock,
    choose,
    draw_scenes,
    read_atlas,
    stock_of,
)

__all__ = [
    "MODEL_CFG",
    "PREPROCESS_CFG",
    "PROMPT",
    "SIZE",
    "VOCABULARY",
    "HeldOut",
    "Plan",
    "Stock",
    "Words",
    "accuracy_by_style",
    "base_folder",
    "choose",
    "class_texts",
    "contrastive_loss",
    "draw_scenes",
    "draw_words",
    "encode_by_length",
    "encode_ids",
    "encode_image_batch",
    "encode_images",
    "encode_texts",
    "encode_vectors",
    "evaluate",
    "load",
    "measured",
    "nonsense_shift",
    "nonsense_stream",
    "normalised",
    "pack",
    "pieces",
    "read_atlas",
    "shown_words",
    "stock_of",
    "write_folder",
]
