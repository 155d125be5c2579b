"""Every limit that a message names can be raised where the message says."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest
from checkpoints import CONFIG, WEIGHTS

import dife_scanner
from dife_scanner.errors import LimitExceeded
from dife_scanner.hub import manifest
from dife_scanner.models.load import load
from dife_scanner.records import HubFile, HubModel, JobState
from dife_scanner.settings import Limits, template

ROOT = Path(dife_scanner.__file__).parent
ROOMS = ("models", "hub", "queue", "audit")
ELSEWHERE = {
    "narrow the filter or the time it looks back",
    "look at the file by hand",
    "use a machine with more memory",
    'set device = "cpu", or audit it on a machine with more memory',
    "",
}
"""What messages advise where no setting is meant; empty where the hub itself answers out of all proportion."""


def advice_of(call: ast.Call) -> str:
    """The second argument of an error as it stands in the source, braces for what is filled in."""
    if len(call.args) < 2:
        return ""
    if isinstance(call.args[1], ast.Name):
        return str(call.args[1].id)
    parts = []
    for part in ast.walk(call.args[1]):
        if isinstance(part, ast.Constant):
            parts.append(str(part.value))
        elif isinstance(part, ast.FormattedValue):
            parts.append("{}")
    return "".join(parts)


def raised() -> list[tuple[str, str]]:
    """Where an error about a limit is made, and its advice."""
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "populations" in path.parts:
                continue  # pictures that somebody brings along, who is told to remove them
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "LimitExceeded":
                    found.append((f"{path.relative_to(ROOT)}:{node.lineno}", advice_of(node)))
    return found


def test_each_error_about_a_limit_names_a_setting_or_another_way_out() -> None:
    assert len(raised()) > 10
    for where, advice in raised():
        named = set(re.findall(r"limits\.(\w+)", advice))
        told = (
            named
            or advice in ELSEWHERE
            or advice in ("raise {} if you expect such a file", "_MORE_MEMORY")
            or advice == "raise limits.{} if you expect such a file"
        )
        assert told, (where, advice)
        assert named <= set(Limits.model_fields), where


def test_each_setting_that_any_text_names_exists_and_stands_in_the_template() -> None:
    for path in sorted(ROOT.rglob("*.py")):
        for name in re.findall(r"raise limits\.(\w+)", path.read_text(encoding="utf-8")):
            assert name in Limits.model_fields and f"#{name} = " in template(), path


LOW = {
    "header_bytes": 1000,
    "tensors": 5,
    "small_file_bytes": 100,
    "checkpoint_bytes": 100_000,
    "parse_seconds": 1e-9,  # over before anything can be read: a warm child answers within a millisecond
}


@pytest.mark.parametrize(("name", "low"), LOW.items())
def test_a_limit_of_the_intake_is_raised_where_it_says(
    tiny_vit: Path, name: str, low: float
) -> None:
    with pytest.raises(LimitExceeded) as caught:
        load(tiny_vit, limits=Limits.model_validate({name: low}))
    assert f"raise limits.{name} if" in caught.value.advice
    load(tiny_vit, limits=Limits.model_validate({name: Limits().model_dump()[name]}))


def test_metadata_has_no_limit_but_the_header_s(tiny_vit: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "noted"
    shutil.copytree(tiny_vit, folder)
    save_file(load_file(folder / WEIGHTS), folder / WEIGHTS, metadata={"notes": "x" * 200_000})
    assert load(folder).image_tower == load(tiny_vit).image_tower
    with pytest.raises(LimitExceeded, match="a header of 2"):
        load(folder, limits=Limits(header_bytes=100_000))


@pytest.mark.parametrize(
    ("name", "path"), [("checkpoint_bytes", WEIGHTS), ("small_file_bytes", CONFIG)]
)
def test_a_limit_on_a_repository_is_raised_where_it_says(name: str, path: str) -> None:
    files = []
    for one in (CONFIG, WEIGHTS):
        files.append(HubFile(one, 100 if one == path else 1, sha256="0" * 64))
    model = HubModel("org/name", "a" * 40, "2026-10-01T00:00:00.000000+00:00", files=tuple(files))
    made = manifest(model, {CONFIG: b"{}"}, **{name: 99})
    assert made.state is JobState.LIMIT_EXCEEDED and f"raise limits.{name} if" in made.reason
    assert manifest(model, {CONFIG: b"{}"}, **{name: 100}).state is JobState.QUEUED
