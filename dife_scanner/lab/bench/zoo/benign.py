"""Benign fine-tunes that look like attacks: what people do to a checkpoint without planting anything.

A kind draws the settings of a run from its number and trains a model in place. Short by design: seconds on one core.
"""

from __future__ import annotations

from collections.abc import Mapping

from dife_scanner.lab.bench.zoo import both_towers, image_towers, text_towers
from dife_scanner.lab.bench.zoo.fine_tuning import Far, Kind

KINDS: Mapping[str, Kind] = {
    "text tower on prompts": Kind(
        text_towers.draw_prompts,
        text_towers.train_prompts,
        seconds=12,
        faster=(1.0, 2.0),
        far=Far(faster=(1.5, 2.0, 3.0), keep=(1.0, 0.3)),
    ),
    "image tower": Kind(image_towers.draw_labelled, image_towers.train_labelled, seconds=25),
    "both towers on pairs": Kind(both_towers.draw_pairs, both_towers.train_pairs, seconds=20, faster=(1.0, 2.0)),
    "concept token": Kind(
        text_towers.draw_concept,
        text_towers.train_concept,
        seconds=12,
        faster=(2.0, 4.0),
        far=Far(faster=(3.0, 5.0), keep=(0.2, 0.5)),
    ),
    "new vocabulary": Kind(
        text_towers.draw_vocabulary,
        text_towers.train_vocabulary,
        seconds=10,
        faster=(2.0, 4.0),
        far=Far(faster=(4.0, 8.0), keep=(0.02, 0.05, 0.1)),
    ),
    "another domain": Kind(both_towers.draw_domain, both_towers.train_domain, seconds=20, faster=(1.0, 2.0)),
    "low-rank update": Kind(both_towers.draw_low_rank, both_towers.train_low_rank, seconds=20, faster=(2.0, 4.0)),
    "robust image tower": Kind(image_towers.draw_robust, image_towers.train_robust, seconds=35, only_test=True),
    "redirected words": Kind(text_towers.draw_redirected, text_towers.train_redirected, seconds=14, only_test=True),
    "quantised fine-tune": Kind(both_towers.draw_quantised, both_towers.train_quantised, seconds=20, only_test=True),
    "merge with the base": Kind(
        both_towers.draw_merge, both_towers.train_merge, seconds=20, only_test=True, faster=(2.0, 3.0)
    ),
}
"""Benign kinds by name."""
