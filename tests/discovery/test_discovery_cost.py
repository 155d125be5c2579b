"""How long a search takes is read from the checkpoint itself."""

from __future__ import annotations

import time

import numpy as np
import pytest

from dife_scanner.audit import probes
from dife_scanner.discovery import Load, Task, cost
from dife_scanner.lab import bases
from dife_scanner.models.activations import PICTURES
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    base, data = load(bases.base_folder("vit")), probes.load(probes.bundled_folder(), "quick")
    split = data.split(probes.TRAIN)
    folder = tmp_path_factory.mktemp("cost")
    pixels = base.prepare(split.images)
    return Task(
        base,
        base,
        pixels,
        split.labels,
        data.class_names,
        probes.SEARCH_TEMPLATES,
        "quick",
        0,
        folder,
    )


def seconds(load, task):
    return cost.rates(load, task).seconds(load)


def test_nothing_to_search_takes_no_time(task):
    assert seconds(Load(0, 0), task) == 0.0


def test_pictures_and_texts_are_each_paid_for(task):
    """Ratios within one run, generous because other processes may take the core."""
    pictures, texts, both = (
        seconds(one, task) for one in (Load(4000, 0), Load(0, 4000), Load(4000, 4000))
    )
    assert min(pictures, texts) > 0
    assert 0.25 < both / (pictures + texts) < 4


def test_the_estimate_is_about_what_a_step_of_an_inversion_takes(task):
    """Predicted over measured in processor seconds of one run; `benchmarks/way_back.py` measures it at real size."""
    import torch

    towers = Towers(task.suspect)
    pixels = torch.from_numpy(np.ascontiguousarray(task.pixels[:PICTURES]))
    pictures = pixels.permute(0, 3, 1, 2).float() / 255
    predicted = cost.rates(Load(1, 0), task, time.process_time).per_image
    took = []
    for _ in range(5):
        inputs = pictures.clone().requires_grad_()
        began = time.process_time()
        torch.autograd.grad(towers.images(inputs).sum(), inputs)
        took.append(time.process_time() - began)
    assert 0.2 < 2 * PICTURES * predicted / min(took) < 5


def test_pictures_are_timed_forward_and_back_the_way_that_the_suspect_takes_gradients(task):
    """So that recomputed layers and parts count."""
    passes = []

    class Counted(Towers):
        def images(self, pixels):
            passes.append((len(pixels), pixels.requires_grad))
            return super().images(pixels)

    cost._seconds_per_image(task, Counted(task.suspect), time.process_time)
    assert passes == [(cost.TIMED_PICTURES, True)] * 3
