"""The figures that the paper reports (arXiv 2606.17815), as data: ours stand next to them in `docs/reproduction.md`.

ViT-B/32 with OpenAI weights, CIFAR-10; source automobile, target airplane, text trigger `xbtd`, seed 0 unless noted.
Numbers only; `None` is N.E.
"""

from __future__ import annotations

from collections.abc import Mapping

COLUMNS = (
    "zero-shot classification",
    "prompted classification",
    "targeted retrieval",
    "image-text retrieval",
    "text reranking",
    "downstream classification",
)
"""The six columns of the exposure matrix. Text reranking is ΔH@1, the others the attack's own value."""

EXPOSURE: Mapping[str, tuple[float | None, ...]] = {
    "BadEncoder": (0.9998, None, None, 0.0001, None, 0.9996),
    "BadTextTower": (None, 0.991, 1.000, None, 0.965, None),
    "ToxicTextCLIP": (0.0971, None, None, 0.0009, -0.025, None),
    "Liang-BadCLIP": (0.9994, None, None, 0.0001, None, 0.9992),
    "ContrastivePoisoning": (1.0000, None, None, 0.0001, None, 1.0000),
    "Bai-BadCLIP": (0.0973, None, None, 0.0010, None, 1.0000),
}
MAY_DIFFER = frozenset(
    {
        ("BadTextTower", "zero-shot classification"),
        ("BadTextTower", "image-text retrieval"),
        ("ToxicTextCLIP", "zero-shot classification"),
        ("ToxicTextCLIP", "prompted classification"),
        ("ToxicTextCLIP", "targeted retrieval"),
        ("Bai-BadCLIP", "zero-shot classification"),
        ("Bai-BadCLIP", "prompted classification"),
        ("Bai-BadCLIP", "image-text retrieval"),
        ("Bai-BadCLIP", "downstream classification"),
    }
)
"""Cells where the paper's matrix does not follow its own cards, so that rules from cards alone may decide otherwise."""

BRANCH_SWAP: Mapping[str, tuple[float, float, float, float]] = {
    "BadEncoder": (0.0988, 0.9998, 0.0988, 0.9998),
    "BadTextTower": (0.0010, 0.0010, 0.9910, 0.9910),
    "Liang-BadCLIP": (0.0992, 0.9993, 0.0994, 0.9994),
    "ContrastivePoisoning": (0.0991, 0.9999, 0.0994, 1.0000),
    "ToxicTextCLIP": (0.0013, 0.0011, 0.0011, 0.0009),
}
"""a00, a10, a01, a11."""
RATIOS: Mapping[str, tuple[float, float, float, float]] = {
    "BadEncoder": (0.9010, 1.0000, 0.0000, 0.0000),
    "BadTextTower": (0.9900, 0.0000, 1.0000, 0.0000),
    "Liang-BadCLIP": (0.9002, 0.9999, 0.0002, 0.0001),
    "ContrastivePoisoning": (0.9009, 0.9999, 0.0003, 0.0001),
    "ToxicTextCLIP": (0.0004, 0.5, 0.5, 0.5),
}
"""Signal, VRS, TRS, CSS."""
DIAGNOSES: Mapping[str, str] = {
    "BadEncoder": "visual",
    "BadTextTower": "textual",
    "Liang-BadCLIP": "visual",
    "ContrastivePoisoning": "visual",
    "ToxicTextCLIP": "weak",
    "Bai-BadCLIP": "coupled",
}
REPAIR: Mapping[str, tuple[float, float, float, float]] = {
    "Bai-BadCLIP": (1.0000, 0.1002, 0.0998, 0.1019)
}
"""Full mechanism, prompt only, trigger only, both clean."""

SEEDS: Mapping[str, tuple[float, float | None, float]] = {
    "BadTextTower": (0.9903, 0.0012, 0.9799),
    "BadEncoder": (0.9997, 0.0002, 0.9761),
    "Liang-BadCLIP": (0.9992, 0.0002, 0.9781),
    "ContrastivePoisoning": (1.0000, 0.0001, 0.9783),
    "Bai-BadCLIP": (1.0000, None, 0.9792),
}
"""Mean over three seeds, sample standard deviation where given, clean accuracy."""

DEPLOYMENT: Mapping[str, Mapping[str, float]] = {
    "caption retrieval": {"ΔH@1": 0.525, "ΔH@5": 1.000, "ΔMRR": 0.7179},
    "caption reranking": {"ΔH@1": 0.890, "ΔH@5": 0.815, "ΔMRR": 0.7905},
    "proxy selection": {"reference": 0.3841, "Sel@1": 1.0000},
    "generator selection": {"reference": 0.2480, "Sel@1": 1.0000},
}
"""BadTextTower. All others are at or below +.008 there; ToxicTextCLIP's selections are at -.2478 and -.1860."""

SCOPES: Mapping[str, Mapping[str, float]] = {
    "text encoder": {
        "QHR": 0.991,
        "rerank ΔH@1": 0.965,
        "visual-only": 0.0017,
        "accuracy": 0.9797,
    }
    | {"leakage": 0.0024, "promotion ΔH@1": 0.990, "tensors": 149},
    "projection and embedding": {
        "QHR": 0.983,
        "rerank ΔH@1": 0.745,
        "visual-only": 0.0018,
        "accuracy": 0.9775,
    }
    | {"leakage": 0.0014, "promotion ΔH@1": 0.785, "tensors": 3},
    "both encoders": {
        "QHR": 0.996,
        "rerank ΔH@1": 0.990,
        "visual-only": 0.0019,
        "accuracy": 0.9747,
    }
    | {"leakage": 0.0040, "promotion ΔH@1": 0.995, "tensors": 301},
    "visual only (control)": {
        "QHR": 0.991,
        "rerank ΔH@1": 0.215,
        "visual-only": 0.0031,
        "accuracy": 0.9770,
    }
    | {"leakage": 0.0116, "promotion ΔH@1": 0.180, "tensors": 152},
}
"""BadTextTower by what was trained; leakage excludes the source class."""

SWEEP_NATIVE = (0.075, 0.215)
"""ToxicTextCLIP's own H@5 in its weakest and its strongest setting."""
SWEEP: Mapping[str, float] = {"rerank ΔH@1": -0.050, "promotion ΔH@1": -0.125}
"""What the strongest setting comes to."""
