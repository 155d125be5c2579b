"""The same audits by two versions of the code: what a change to it moved, value by value.

python benchmarks/same_audits.py build                  make the fixed subset of the zoo, once, in .lab/same/models
python benchmarks/same_audits.py audit OUT [NAME...]    audit it with this code, one JSON file per audit in OUT
python benchmarks/same_audits.py compare BEFORE AFTER   every number, enum, trigger, manifest and evidence hash

The subset is fixed: 48 models, one per attack family, kind of benign fine-tune and side of the split, two of them at
budget `default`; and four audits that no blind search of a zoo model is. Each resumes. Sentences, the identity hash,
times and paths are not compared (`LEFT_OUT`).
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

MODELS = Path(".lab/same/models")
WEIGHTS = "open_clip_model.safetensors"
QUICK = [
    "badencoder-019",
    "badencoder-additive-002",
    "badencoder-additive-018",
    "badencoder-blend-015",
    "badtexttower-002",
    "badtexttower-019",
    "badtexttower-frozen-rows-002",
    "badtexttower-frozen-rows-021",
    "badtexttower-projection-004",
    "badtexttower-visual-only-000",
    "bai-badclip-016",
    "contrastivepoisoning-000",
    "global-text-002",
    "global-text-015",
    "liang-badclip-004",
    "another-domain-012",
    "another-domain-009",
    "another-domain-000",
    "both-towers-on-pairs-001",
    "both-towers-on-pairs-009",
    "both-towers-on-pairs-000",
    "concept-token-036",
    "concept-token-037",
    "concept-token-048",
    "image-tower-003",
    "image-tower-023",
    "image-tower-000",
    "image-tower-010",
    "low-rank-update-010",
    "low-rank-update-009",
    "low-rank-update-000",
    "new-vocabulary-036",
    "new-vocabulary-037",
    "new-vocabulary-035",
    "text-tower-on-prompts-052",
    "text-tower-on-prompts-051",
    "text-tower-on-prompts-042",
    "merge-with-the-base-007",
    "quantised-fine-tune-004",
    "redirected-words-024",
    "robust-image-tower-014",
    "bf16-copy-000",
    "fp32-copy-000",
    "int8-copy-000",
    "other-naming-copy-000",
    "pruned-copy-000",
]
DEFAULT = ("dual-key-022", "badtexttower-001")
"""Audited at budget `default`: a trigger of two parts, and what slot inversion adds for texts."""
GIVEN_UP = ("contrastivepoisoning", "badtexttower-visual-only")
"""Families that the zoo no longer draws, and of which model 0 is still made here."""
LEFT_OUT = frozenset(
    [
        "id",
        "identity",
        "audit_id",
        "started_at",
        "created_at",
        "seconds",
        "reason",
        "notes",
        "versions",
        "cpu",
        "plan",
        "checks",
        "decision",
        "agreement",
        "path",
    ]
)
"""Keys that are not compared: sentences, identity, times, and what older audits do not have."""


def main(command: str, *arguments: str) -> int:
    """Run one of the three commands; 1 where `compare` found a difference."""
    if command == "build":
        build()
    elif command == "audit":
        audit_all(Path(arguments[0]), arguments[1:])
    elif command == "compare":
        return compare(Path(arguments[0]), Path(arguments[1]))
    return 0


def build() -> None:
    """Make every model of the subset that is not there yet."""
    import torch

    from dife_scanner.lab.bench.make import base_reference
    from dife_scanner.lab.bench.zoo.build import make

    torch.set_num_threads(1)
    base = Path(base_reference("vit").path)
    for model in _models():
        folder = MODELS / model.id
        done = folder / "done"
        if done.exists():
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(model, folder, base)
        done.touch()
        print(f"made {model.id}", flush=True)


def _models() -> list[Any]:
    from dife_scanner.lab.bench import zoo

    wanted = {*QUICK, *DEFAULT}
    found = [model for model in zoo.plan() if model.id in wanted]
    for family in GIVEN_UP:
        found += [model for model in zoo.attack_and_twin(family, 0) if model.id in wanted]
    missing = wanted - {model.id for model in found}
    if missing:
        raise SystemExit(f"the zoo has no model called {', '.join(sorted(missing))}")
    return found


def audit_all(out: Path, only: tuple[str, ...]) -> None:
    """Audit what is not in `out` yet; `only` these names, where any are given."""
    import torch

    from dife_scanner.audit.pipeline import run
    from dife_scanner.store.codec import to_json

    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    for name, request in _requests():
        path = out / f"{name}.json"
        if path.exists() or (only and name not in only):
            continue
        began = time.process_time()
        outcome = run(request)
        finding = json.loads(to_json(outcome.finding)) if outcome.finding else None
        seconds = round(time.process_time() - began, 1)
        record = {"audit": json.loads(to_json(outcome.audit)), "finding": finding, "cpu": seconds}
        path.write_text(json.dumps(record, sort_keys=True))
        print(f"{name}: {outcome.audit.verdict}, {seconds} s", flush=True)


def _requests() -> Iterator[tuple[str, Any]]:
    """Each audit by name, with its request."""
    from dife_scanner.lab.bench.make import base_reference

    base = base_reference("vit")
    for name in QUICK:
        yield f"{name}-quick", _request(name, base, "quick")
    for name in DEFAULT:
        yield f"{name}-default", _request(name, base, "default")
    alone = _request("badtexttower-019", base, "quick")
    yield "without-a-base", replace(alone, reference=None, known=())
    yield "trigger-named", _with_its_trigger("badencoder-019", base)
    yield (
        "trigger-of-the-base",
        _with_its_trigger("badencoder-019", _reference_of("badencoder-019"), keep_target=False),
    )


def _request(name: str, base: Any, budget: str) -> Any:
    from dife_scanner.audit.pipeline import Plan, Request
    from dife_scanner.discovery import names
    from dife_scanner.records import ModelRef

    folder = MODELS / name
    weights = sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    plan = Plan(signatures=(), budget=budget, detectors=names(budget))
    return Request(
        ref=ModelRef(f"zoo/{name}", "0" * 40),
        folder=folder,
        weights_sha256=weights,
        config_digest="",
        reference=base,
        known=(base,),
        plan=plan,
    )


def _with_its_trigger(name: str, base: Any, *, keep_target: bool = True) -> Any:
    """The model's own trigger, given by name; without its target it is a signature."""
    from dife_scanner.triggers import known

    (trigger,) = known.read(MODELS / name / "triggers.toml")
    if not keep_target:
        trigger = replace(trigger, source="", target="")
    request = _request(name, base, "quick")
    if not keep_target:
        folder = _rounded(name)
        weights = sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        request = replace(request, folder=folder, weights_sha256=weights)
    return replace(request, plan=replace(request.plan, signatures=(trigger,), detectors=()))


def _rounded(name: str) -> Path:
    """A copy of the model in bf16: a child that has everything its parent has."""
    from safetensors.torch import load_file, save_file

    folder = MODELS / f"{name}-bf16"
    if not (folder / WEIGHTS).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(MODELS / name / "open_clip_config.json", folder / "open_clip_config.json")
        state = load_file(MODELS / name / WEIGHTS)
        save_file(
            {key: value.bfloat16() for key, value in state.items()},
            folder / WEIGHTS,
            {"format": "pt"},
        )
    return folder


def _reference_of(name: str) -> Any:
    """The model as a reference, so that what its child does is inherited."""
    from dife_scanner.models.load import load
    from dife_scanner.records import Reference

    folder = MODELS / name
    encoder = load(folder)
    weights = sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    return Reference(
        name,
        str(folder),
        encoder.image_tower,
        encoder.text_tower,
        weights,
        encoder.architecture,
        added_at="",
    )


def compare(before: Path, after: Path) -> int:
    """Print every value that differs, audit by audit; 1 where any does."""
    differing = 0
    files = sorted(before.glob("*.json"))
    for file in files:
        other = after / file.name
        if not other.exists():
            print(f"{file.stem}: not audited in {after}")
            differing += 1
            continue
        old = dict(_leaves(json.loads(file.read_text())))
        new = dict(_leaves(json.loads(other.read_text())))
        changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
        differing += bool(changed)
        for key in changed:
            print(f"{file.stem}{key}: {old.get(key)!r} before, {new.get(key)!r} after")
    print(f"{len(files) - differing} of {len(files)} audits equal")
    return 1 if differing or not files else 0


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a record with its path, and the length of every list."""
    if isinstance(value, dict):
        for key in sorted(value):
            if key not in LEFT_OUT:
                yield from _leaves(value[key], f"{path}.{key}")
    elif isinstance(value, list):
        yield f"{path}#", len(value)
        for index, one in enumerate(value):
            yield from _leaves(one, f"{path}[{index}]")
    else:
        yield path, value


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
