"""Published attacks, regenerated: each ends as stated, none of them runs, and a control shows that it could have."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dife_scanner.errors import LimitExceeded, Refused
from dife_scanner.lab.hostile.corpus import SAFETENSORS, STOPPED, Case, cases
from dife_scanner.lab.hostile.payloads import MARKER
from dife_scanner.lab.hostile.watched import FIND_CLASS
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.torch_files import read

BOMBS = [case for case in cases() if case.bomb and case.format != SAFETENSORS]


def watched(what: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "dife_scanner.lab.hostile.watched", what],
        cwd=folder, capture_output=True, timeout=100, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_hostile_file_ends_with_its_reason_and_none_runs(tmp_path: Path) -> None:
    found = watched("quick", tmp_path)
    for case in cases():
        if case.bomb:
            continue
        one = found[case.name]
        assert one["outcome"] in case.outcome, (case.name, one)
        assert one["seen"] == [], case.name
        assert one["why"] or one["outcome"] == "read"
    assert list(tmp_path.iterdir()) == []


def test_the_hook_sees_each_payload_when_it_is_unpickled(tmp_path: Path) -> None:
    """The control: what the readers did not run does run where it is unpickled."""
    found = watched("control", tmp_path)
    payloads = [case for case in cases() if case.payload]
    for case in payloads:
        seen = set(found[case.name])
        assert seen - {FIND_CLASS, "import"} if case.acts else FIND_CLASS in seen, case.name
    assert len(payloads) > 300
    assert (tmp_path / MARKER).exists()


@pytest.mark.parametrize("case", BOMBS, ids=[case.name for case in BOMBS])
def test_a_bomb_meets_a_limit_that_is_named(case: Case) -> None:
    limits = ParseLimits(tensors=200, header_bytes=200_000)
    with pytest.raises((LimitExceeded, Refused)) as caught:
        read(io.BytesIO(case.build()), "x.pt", limits)
    assert isinstance(caught.value, Refused) or "limits." in caught.value.advice


def test_names_of_cases_are_unique_and_each_family_is_there() -> None:
    names = Counter(case.name for case in cases())
    assert max(names.values()) == 1
    families = {name.partition(":")[0] for name in names}
    assert families == {
        "call", "form", "carried", "change", "hidden", "container", "bomb", "honest", "tensor", "tensor name",
        "safetensors",
    }  # fmt: skip
    assert sum(case.outcome <= STOPPED for case in cases()) > 400
