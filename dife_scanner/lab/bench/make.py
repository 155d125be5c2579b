"""One model of the zoo, from its recipe to its row: train, measure natively, audit blind, throw away."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from dife_scanner.audit.cache import Memory
from dife_scanner.audit.pipeline import Plan, Request, run
from dife_scanner.audit.plan import DISCOVERY_VERSIONS
from dife_scanner.baselines.home import bundled_references, qualified_folder
from dife_scanner.core.calibration import DIGITS
from dife_scanner.discovery import names
from dife_scanner.errors import UsageError
from dife_scanner.lab import bases
from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.interface import Recipe, entry_of
from dife_scanner.lab.bench import rows, true_target
from dife_scanner.lab.bench.rows import Code, Encoded, Outcome, Row, Truth, Vocabulary
from dife_scanner.lab.bench.rows.found import found_of, rounded
from dife_scanner.lab.bench.zoo import ZOO_VERSION, Model, Role, build, family_of, visible_traits
from dife_scanner.records import (
    Audit,
    Budget,
    ModelRef,
    Origin,
    Qualification,
    Reference,
    Verdict,
)
from dife_scanner.sentences.checks import deciding
from dife_scanner.store.codec import from_json

VIT, RN, WIDE = "vit", "rn", "wide"
"""The bundled bases: models are made of the first; the second shows what carries over; models on any concept are made
of the third."""
BASES = (VIT, RN, WIDE)
NATIVE = 0.9
"""What an attack's own number has to reach; below it is a failed implant."""
SOURCES = ("audit", "core", "discovery", "models", "records", "triggers")
"""Packages whose code decides what a row holds: searches, measuring, statistics, interfaces, verdicts and the encoders
they ask."""
# Whole packages, so that a module that is split or added is covered by itself. A list that is too wide makes `--renew`
# measure a row too many again; one that is too narrow calls rows of different code the same.

Say = Callable[[str], None]


@lru_cache(maxsize=3)
def base_reference(kind: str = VIT) -> Reference:
    """A bundled base as audits know it."""
    folder = bases.base_folder(kind)
    (found,) = [reference for reference in bundled_references() if Path(reference.path) == folder]
    return found


def known_of_the_world(base: Reference) -> Qualification:
    """What ships with the package about a bundled base's knowledge of the wide probe set."""
    path = qualified_folder() / f"{base.name}.json"
    if not path.exists():
        raise UsageError(
            f"nothing says what {base.name} recognises beyond the labelled classes",
            f"run `python -m dife_scanner.lab.pictures.qualify_bases {base.name}`",
        )
    return from_json(Qualification, path.read_bytes())


@dataclass(frozen=True)
class Bench:
    """Where things lie, and the code that makes rows."""

    rows: Path
    work: Path
    """Models under construction and the base's embeddings."""
    code: Code
    keep: bool = False
    """Whether built models stay in `work`, for a second audit by other detectors."""
    base: Reference = field(default_factory=base_reference)
    """What models are made of and compared with."""
    device: str = "cpu"
    """What audits run on; training stays on the processor."""
    vocabulary: Vocabulary = Vocabulary.LABELLED
    """What sources and targets of its models are drawn from."""
    qualification: Qualification | None = None
    """What the base recognises beyond the labelled classes. Rows about these alone were made without it."""
    commit: str = ""
    """Of the code; empty where that is not known."""

    @property
    def base_folder(self) -> Path:
        return Path(self.base.path)


def code_of(budget: str) -> Code:
    """The code as it is on disk now."""
    digest = sha256()
    for path in sources():
        digest.update(path.read_bytes())
    return Code(
        zoo=ZOO_VERSION,
        discovery=DISCOVERY_VERSIONS[Budget(budget)],
        digest=digest.hexdigest()[:12],
        budget=budget,
        detectors=names(Budget(budget)),
    )


def sources() -> list[Path]:
    """The files of `SOURCES`, in the order in which their digest takes them."""
    package = Path(str(files("dife_scanner")))
    found: list[Path] = []
    for name in SOURCES:
        found += sorted((package / name).rglob("*.py"))
    return found


def row_of(model: Model, twin: Model | None, bench: Bench, say: Say) -> Row:
    """Build and audit a model. An attack's twin is built with it, for its native numbers, and left for its own row."""
    folder = build.built(model, bench)
    native, status = _native(model, twin, folder, bench)
    numbers = " ".join(f"{name} {value:.2f}" for name, value in native.items())
    say(f"{model.id}: built, {numbers or 'no native numbers'}")
    seen = visible_traits.traits_of(folder, bench.base_folder)
    outcome = audited(model, folder, bench) if status == rows.AUDITED else None
    seconds = build.seconds_of(folder)
    if not bench.keep:
        shutil.rmtree(folder)
    return Row(
        model=model.id,
        role=model.role,
        kind=model.kind,
        number=model.number,
        part=model.part,
        sealed=model.sealed,
        status=status,
        recipe=build.recipe_of(model),
        code=bench.code,
        made_on=rows.today(),
        build_seconds=seconds,
        native=native,
        looks=seen,
        truth=_truth(model) if model.role is Role.ATTACK and twin is not None else None,
        outcome=outcome,
        base=bench.base.name,
        vocabulary=bench.vocabulary,
        commit=bench.commit,
    )


def _native(
    model: Model, twin: Model | None, folder: Path, bench: Bench
) -> tuple[dict[str, float], str]:
    """The attack's own numbers, none for what has no attack, and the status of the row."""
    if not isinstance(model.settings, Recipe):
        return {}, rows.AUDITED
    native = build.native_of(model, folder, bench.base_folder)
    if model.role is not Role.ATTACK or twin is None:
        return native, rows.AUDITED
    clean = build.native_of(twin, build.built(twin, bench), bench.base_folder)
    native[rows.TWIN] = clean["clean_accuracy"]
    return native, rows.AUDITED if implanted(model, native, clean) else rows.FAILED


def implanted(model: Model, native: dict[str, float], twin: dict[str, float]) -> bool:
    """Native validation (paper App. C.3): the attack does what it is for, and clean use is what it is in the twin."""
    works = native[family_of(model.kind).success] >= NATIVE
    return works and native["clean_accuracy"] >= twin["clean_accuracy"] - measures.ACCURACY_LOSS


def _truth(model: Model) -> Truth:
    family = family_of(model.kind)
    recipe = model.settings
    assert isinstance(recipe, Recipe)
    return Truth(
        carrier=family.carrier,
        channel=family.channel,
        trigger=entry_of(recipe.mark),
        source=recipe.source if family.one_source else "",
        target=recipe.target,
    )


def audited(model: Model, folder: Path, bench: Bench) -> Outcome:
    """Audit without any signature; what the searches keep on disk is thrown away afterwards."""
    weights = sha256((folder / build.WEIGHTS).read_bytes()).hexdigest()
    plan = Plan(signatures=(), budget=Budget(bench.code.budget), detectors=bench.code.detectors)
    request = Request(
        ref=ModelRef(f"zoo/{model.id}", "0" * 40),
        folder=folder,
        weights_sha256=weights,
        config_digest="",
        reference=bench.base,
        known=(bench.base,),
        plan=plan,
        device=bench.device,
        cache=bench.work / "embeddings",
        qualification=bench.qualification,
    )
    memory = Memory(request.cache)
    began = time.process_time()
    made = run(request, memory=memory)
    seconds = time.process_time() - began
    shutil.rmtree(bench.work / "discovery", ignore_errors=True)
    outcome = replace(
        outcome_of(made.audit, round(seconds, 1)),
        encoded=_encoded(made.audit, bench.base, memory),
    )
    if model.role is not Role.ATTACK or not isinstance(model.settings, Recipe):
        return outcome
    target = model.settings.target
    placed = true_target.true_target(target, made.files, folder, bench.base_folder)
    return replace(outcome, true_target=placed)


def _encoded(audit: Audit, base: Reference, memory: Memory) -> Encoded:
    """What the audit encoded besides its searches."""
    prompts = memory.computed_texts(true_target.concept_prompts())
    return Encoded(
        pictures=memory.computed({audit.image_tower, base.image_tower}),
        texts=memory.computed({audit.text_tower, base.text_tower}) - prompts,
        concept_prompts=prompts,
    )


def outcome_of(audit: Audit, seconds: float) -> Outcome:
    """What a row keeps of an audit."""
    told = deciding(audit)
    found = []
    for result in audit.signatures:
        if result.origin is Origin.DISCOVERED:
            found.append(found_of(result, decides=result is told))
    diagnosis = audit.diagnosis
    undecided = audit.verdict is Verdict.INCONCLUSIVE
    return Outcome(
        verdict=audit.verdict,
        score=rounded(audit.score, DIGITS),
        carrier=diagnosis.carrier if diagnosis else None,
        channel=diagnosis.channel if diagnosis else None,
        found=tuple(sorted(found, key=lambda one: one.reference - one.suspect)),
        searches=audit.searches,
        seconds=seconds,
        recovered=audit.recovered,
        seed=audit.seed,
        missing=audit.not_searched,
        accuracy=rounded(audit.clean_accuracy),
        reference_accuracy=rounded(audit.reference_accuracy),
        basis=audit.decision.basis if audit.decision else None,
        reason=audit.reason if undecided else "",
    )
