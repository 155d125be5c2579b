"""What comes with a checkpoint is copied with it, and decides which audit it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from queue_kit import checkpoint_folder

from dife_scanner.hub.manifest import local_manifest
from dife_scanner.queue import intake
from dife_scanner.settings import Limits
from dife_scanner.triggers import files, learner

LEARNER = "prompt_learner.safetensors"


@pytest.fixture
def prepared(tmp_path: Path):
    def run(name: str) -> intake.Prepared:
        paths, expected = intake.local_files(local_manifest(tmp_path / "model"))
        return intake.prepare(paths, expected, tmp_path / name, Limits.model_validate({}))

    return run


def test_a_prompt_learner_is_copied_with_its_checkpoint_and_makes_it_another_audit(tmp_path: Path, prepared) -> None:
    folder = checkpoint_folder(tmp_path / "model")
    plain = prepared("plain")
    digests = {plain.config_digest}
    for seed in range(2):
        vectors = np.random.default_rng(seed).normal(size=(2, 32)).astype(np.float32)
        kept = learner.save(learner.PromptLearner(vectors), folder / LEARNER)
        found = prepared(f"copy-{seed}")
        assert learner.read(found.folder / LEARNER).context.tolist() == vectors.tolist()
        assert files.describe(found.folder / LEARNER).sha256 == kept.sha256
        assert found.weights_sha256 == plain.weights_sha256
        digests.add(found.config_digest)
    assert len(digests) == 3
