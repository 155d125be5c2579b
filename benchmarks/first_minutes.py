"""Checkpoints of real sizes with random weights: whether they load and search, what that takes, and what `quick` would.

python benchmarks/first_minutes.py ROWS [NAME...]                one JSON line for each in the file ROWS
python benchmarks/first_minutes.py ROWS NAME --minutes 3         search for so many processor minutes, half of them for
                                                                 texts and half for a patch
python benchmarks/first_minutes.py ROWS --device cuda            the same on a GPU

Random weights serve timing only: nothing is recognised or found. Each model has a process of its own, so that its peak
is its own, and a line that is there is not made again. What the memory of the machine does not hold is not started, and
its line says so. Estimates come from the cost model (`discovery/cost.py`): passes of each search, times what passes of
this checkpoint take here. TFLOP are those of matrix products alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from dife_scanner.audit import memory
from dife_scanner.audit.concepts import concept_names
from dife_scanner.audit.probes import SEARCH_TEMPLATES, TRAIN, bundled_folder
from dife_scanner.audit.probes import load as load_probes
from dife_scanner.discovery import DETECTORS, Cancelled, Load, Task, cost, names
from dife_scanner.models.layouts.open_clip import CONFIG_FILE, parse_config
from dife_scanner.models.load import default_limits, load, parse_limits
from dife_scanner.models.tensors import expected_tensors
from dife_scanner.records import Budget

WEIGHTS = "open_clip_model.safetensors"
SHAPES = {
    "ViT-B-32": (512, (224, 32, 768, 12, 64), (512, 8, 12)),
    "ViT-B-16": (512, (224, 16, 768, 12, 64), (512, 8, 12)),
    "ViT-L-14": (768, (224, 14, 1024, 24, 64), (768, 12, 12)),
    "ViT-L-14-336": (768, (336, 14, 1024, 24, 64), (768, 12, 12)),
    "ViT-H-14": (1024, (224, 14, 1280, 32, 80), (1024, 16, 24)),
    "tiny": (64, (64, 32, 64, 2, 32), (64, 2, 2)),
}
"""Embedding; picture, patch, width, layers and head of the image tower; width, heads and layers of the text tower."""
SIGLIPS = {
    "SigLIP-B-16": (768, ("vit_base_patch16_siglip_224", 224), (768, 12, 12, 4.0)),
    "SigLIP-so400m-14": (1152, ("vit_so400m_patch14_siglip_384", 384), (1152, 16, 27, 3.7362)),
}
"""Embedding; timm's name and picture of the image tower; width, heads, layers and inner over outer width of the text
tower. Texts are cut by CLIP's tokenizer, since no shape comes with another: so the token table is CLIP's."""
DEFAULT = (*(name for name in SHAPES if name != "tiny"), *SIGLIPS)
TOKENS = 9
"""Positions of a text that a search reads, about …"""
DISTINCT_TOKENS = 3.4
"""… and of those that begin as no other does: what a causal tower reads (docs/benchmarks.md)."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=Path)
    parser.add_argument("names", nargs="*", help=", ".join((*SHAPES, *SIGLIPS)))
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    done = set()
    if given.rows.exists():
        done = {json.loads(line)["model"] for line in given.rows.read_text().splitlines()}
    for name in given.names or DEFAULT:
        if name not in done:
            # a fresh interpreter, not a fork: the peak of a fork begins at its parent's
            with multiprocessing.get_context("spawn").Pool(1) as child:
                row = child.apply(measured, (name, given.minutes, given.device))
            with given.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def measured(name: str, minutes: float, device: str) -> dict[str, Any]:
    """The line of one model."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = configured(name, folder)
        weights = memory.weights_mib(config)
        row = {"model": name, "device": device, "weights MiB, by the header": weights}
        there = memory.machine_mib()
        need = memory.chosen(there, memory.needs(config, config, Budget.QUICK))
        if need is None:
            return {**row, "not run": f"this machine has {there:,} MiB"}
        row["peak MiB, estimated"] = need.mib
        began = time.perf_counter()
        pair = []
        for seed, way in ((0, need.ways.suspect), (1, need.ways.base)):
            write_weights(config, folder, seed)
            encoder = load(folder, device=device)
            encoder.way_back = way
            pair.append(encoder)
            (folder / WEIGHTS).unlink()
        row["seconds to write and load two"] = round(time.perf_counter() - began, 1)
        row["peak MiB, two loaded"] = peak_mib()
        task = task_of(pair, folder)
        row |= _estimated(config, task)
        for detector in ("texts", "patch"):
            row[f"{detector}: share of its steps"] = _searched(task, detector, 30 * minutes)
        row["peak MiB"] = peak_mib()
        return row


def configured(name: str, folder: Path) -> Any:
    document = _of_siglip(name) if name in SIGLIPS else _of_clip(name)
    raw = json.dumps({"model_cfg": document, "preprocess_cfg": {}}).encode()
    (folder / CONFIG_FILE).write_bytes(raw)
    return parse_config(raw, parse_limits(default_limits()))


def _of_siglip(name: str) -> dict[str, Any]:
    embedding, (timm, side), (width, heads, layers, ratio) = SIGLIPS[name]
    return {
        "embed_dim": embedding,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": side,
            "timm_model_name": timm,
            "timm_model_pretrained": False,
            "timm_pool": "map",
            "timm_proj": "none",
        },
        "text_cfg": {
            "context_length": 64,
            "vocab_size": 49408,
            "width": width,
            "heads": heads,
            "layers": layers,
            "mlp_ratio": ratio,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "norm_kwargs": {"eps": 1e-6},
        },
    }


def _of_clip(name: str) -> dict[str, Any]:
    embedding, (side, patch, width, layers, head), (text_width, heads, text_layers) = SHAPES[name]
    return {
        "embed_dim": embedding,
        "vision_cfg": {
            "image_size": side,
            "patch_size": patch,
            "width": width,
            "layers": layers,
            "head_width": head,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": text_width,
            "heads": heads,
            "layers": text_layers,
        },
    }


def write_weights(config: Any, folder: Path, seed: int) -> None:
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in expected_tensors(config).items():
        is_norm = len(shape) == 1 and name.endswith(".weight")
        drawn = 0.02 * torch.randn(shape, generator=generator)
        tensors[name] = 1 + drawn if is_norm else drawn
    save_file(tensors, folder / WEIGHTS)


def task_of(pair: list[Any], folder: Path) -> Task:
    """Both towers moved, as the searches of an audit at `quick` have it."""
    data = load_probes(bundled_folder(), Budget.QUICK)
    split = data.split(TRAIN)
    suspect, base = pair
    return Task(
        suspect,
        base,
        suspect.prepare(split.images),
        split.labels,
        data.class_names,
        SEARCH_TEMPLATES,
        Budget.QUICK,
        0,
        folder,
        drawings=split.drawings,
        concepts=concept_names(),
    )


def _estimated(config: Any, task: Task) -> dict[str, Any]:
    """What all searches of `quick` would take."""
    able = [one for one in DETECTORS if one.name in names(Budget.QUICK)]
    whole = sum((one.load(task) for one in able), start=Load(0, 0))
    rates = cost.rates(whole, task)
    of_pictures = whole.images * _picture_flop(config)
    text = config.text
    read = DISTINCT_TOKENS if text.causal else TOKENS
    of_texts = whole.texts * read * _tower_flop(1, text.width, text.layers)
    return {
        "pictures of quick": whole.images,
        "texts of quick": whole.texts,
        "TFLOP of pictures": round(of_pictures / 1e12, 1),
        "TFLOP of texts": round(of_texts / 1e12, 1),
        "pictures/s": round(1 / rates.per_image, 2),
        "texts/s": round(1 / rates.per_text, 1),
        "minutes of quick, by the cost model": round(rates.seconds(whole) / 60, 1),
    }


def _picture_flop(config: Any) -> float:
    vision = config.vision
    patches = 2 * vision.grid**2 * 3 * vision.patch_size**2 * vision.width
    return _tower_flop(vision.grid**2 + 1, vision.width, vision.layers) + patches


def _tower_flop(length: int, width: int, layers: int) -> float:
    """Of one input of so many positions: linear layers and attention."""
    return float(layers * length * (24 * width**2 + 4 * length * width))


def _searched(task: Task, detector: str, seconds: float) -> float:
    """Search for so many processor seconds; the share of its steps that were done, 1 where it came to its end."""
    end = time.process_time() + seconds
    reached = 0.0

    def tell(what: str, done: int, of: int) -> None:
        nonlocal reached
        reached = done / of if of else 0.0
        if time.process_time() > end:
            raise Cancelled

    (search,) = [one for one in DETECTORS if one.name == detector]
    try:
        # random weights keep no two nouns apart, so nothing is read beyond the classes
        search.search(replace(task, progress=tell, concepts=()))
    except Cancelled:
        return round(reached, 3)
    return 1.0


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
