"""What comes with a checkpoint is copied with it, and decides which audit it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from queue_kit import checkpoint, checkpoint_folder, work_for

from dife_scanner import checkpoints
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.queue import targets, worker
from dife_scanner.queue.work import hub_for
from dife_scanner.settings import Limits
from dife_scanner.store import Store
from dife_scanner.triggers import files, learner

LEARNER = "prompt_learner.safetensors"


@pytest.fixture
def prepared(tmp_path: Path):
    def run(name: str) -> checkpoints.Prepared:
        found = checkpoints.local_files(local_manifest(tmp_path / "model"))
        return checkpoints.prepare(found, tmp_path / name, Limits.model_validate({}))

    return run


def test_a_prompt_learner_is_copied_with_its_checkpoint_and_makes_it_another_audit(
    tmp_path: Path, prepared
) -> None:
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


def test_a_learner_that_is_not_read_is_told_wherever_the_weights_are(
    store: Store, hub: LoopbackHub
) -> None:
    """Never fetched either: what a pickle does when it is opened is its author's choice."""
    pickled = {
        "prompt_learner/model.pth.tar-50": b"pickle",
        "prompt_learner/model.pth.tar-10": b"pickle",
    }
    hub.add_repo("org/clip-plain", checkpoint())
    hub.add_repo("org/clip-coop", checkpoint() | pickled)
    work = work_for(store.home, hub.endpoint, audit="queue_kit:comparing")
    said = []
    for name in ("org/clip-coop", "org/clip-plain", "org/clip-coop"):
        job = targets.enqueue(
            store, name, work.settings.limits, lambda: hub_for(work.settings, hub.endpoint)
        )
        said.append(worker.run_to_end(store, job, work).reason)
    told = "not searched: a prompt learner in a format that is not read (prompt_learner/model.pth.tar-10, "
    assert told in said[0] and "prompt_learner/model.pth.tar-50)" in said[0]
    assert "same identity" not in said[1] and "learner" not in said[1], (
        "without one it is another audit"
    )
    assert said[2].startswith("same identity as audit") and told in said[2]
    assert hub.seen("safetensors") and not hub.seen("resolve.*pth")
