"""From a checkpoint's files to its canonical form: stage, inspect in a limited child, rewrite, complete."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from dife_scanner.checkpoints.parts import Files, Parts
from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import DifeError, LimitExceeded, NeedsBase, Unreadable, Unsupported
from dife_scanner.models import canonical, intake, normal_form, sandbox, tokenizers
from dife_scanner.models.config import CLIP_VOCABULARY, ClipConfig
from dife_scanner.models.conversion import PROJECTIONS, Conversion
from dife_scanner.models.layouts import peft_lora
from dife_scanner.models.layouts.open_clip import CONFIG_FILE
from dife_scanner.models.layouts.written import written
from dife_scanner.models.load import configuration, parse_limits
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tensors import is_of_image
from dife_scanner.models.tokenizers import TokenizerFacts
from dife_scanner.models.tokenizers.document import WORDPIECE
from dife_scanner.models.tokenizers.reading import CANONICAL_FILE
from dife_scanner.records import Contents, Reference
from dife_scanner.settings import Limits

Judging = Callable[[Sequence[Path]], AbstractContextManager[None]]
"""Given the private copies of the files; entered before they are inspected and left afterwards."""
OF_THE_CONFIGURATION = (Unsupported, LimitExceeded, Unreadable)
"""Errors that another configuration may not have."""
_WORDS = "token_embedding.weight"
"""Of every text tower."""
NO_CONFIGURATION = "no configuration came with it"


def _alone(_: Sequence[Path]) -> AbstractContextManager[None]:
    """Nobody else looks at the files."""
    return nullcontext()


@dataclass(frozen=True)
class Prepared:
    """A private copy in the canonical form that passed every check that needs no weights in memory."""

    folder: Path
    weights: Path
    weights_sha256: str
    config_digest: str
    """sha256 of the sanitised configuration, tokenizer and preprocessing included, and of a prompt learner with it."""
    config: ClipConfig
    """Under which every tensor of the file was found …"""
    own_settings_problem: str = ""
    """… and why that is a reference's and not its own, in words; empty where it is its own."""
    lacking: tuple[str, ...] = ()
    """Tensors that have to come from the base before anything can be embedded."""
    parts: Parts | None = None
    """The files as they came, where the canonical form was made of them and is not complete."""
    extra_digest: str = ""
    """Of what belongs to the checkpoint besides configuration and weights."""
    notes: tuple[str, ...] = ()
    """What whoever reads the audit has to know of how the checkpoint was read."""

    @property
    def architecture(self) -> str:
        """Short and stable, as in `records.Manifest.architecture`."""
        return self.config.architecture


@dataclass(frozen=True)
class Understood:
    """What the limited child found."""

    config: ClipConfig
    conversion: Conversion | None = None
    """`None` where the files are in the canonical form as they are."""
    problem: str = ""
    """Why the configuration is a reference's, in words."""
    interpolated: str = ""
    """As in `Inspection`."""
    notes: tuple[str, ...] = ()
    """What was left out that adds nothing."""

    @property
    def lacking(self) -> tuple[str, ...]:
        """As in `Conversion`."""
        return self.conversion.lacking if self.conversion else ()


def prepare(
    files: Files,
    dest: Path,
    limits: Limits,
    known: Sequence[Reference] = (),
    judging: Judging = _alone,
) -> Prepared:
    """Copy, hash, inspect in a limited child, and bring into the canonical form in the new folder `dest`.

    Tensors decide what a checkpoint is. Where its configuration cannot be run or does not fit them, one of the `known`
    references whose configuration does stands in for it; what a single tower lacks is described as in one of them, see
    `complete`. The files as they came are inspected inside `judging(paths)`, whatever comes of it.

    Raises what `intake.stage` and `sandbox` raise, and `NeedsBase` where no reference has what is missing.
    """
    as_stored = dest.with_name(f"{dest.name}-as-stored")
    contents = files.contents
    staged = intake.stage(files.where, files.announced, as_stored, limits, contents)
    crash_point("worker.staged")
    if not staged.files:
        raise Unsupported(
            "there is nothing that an audit could read", "scan a repository that holds a CLIP"
        )
    parts = Parts.of({file.name: file.path for file in staged.files}, contents)
    with judging([file.path for file in staged.files]):
        found = understood(parts, limits, known)
        tokenizer = _tokenizer(staged, contents, found, limits)
    found = _in_normal_form(found, parts, limits)
    extra = _extra_digest(staged, found, tokenizer)
    if found.conversion is None:
        as_stored.rename(dest)
        if not (dest / CONFIG_FILE).exists():
            _describe(dest, found.config)
        name = parts.weights[0].name
        digest = staged.file(name).sha256
    else:
        name = canonical.WEIGHTS_FILE
        digest = _converted(found.conversion, parts, staged, dest, limits)
    if tokenizer is not None:
        tokenizer.write(dest)
    prepared = _prepared(dest, dest / name, digest, found, extra)
    if found.conversion is None:
        return prepared
    if found.lacking:
        return replace(prepared, parts=parts)
    shutil.rmtree(as_stored, ignore_errors=True)
    return prepared


def _describe(folder: Path, config: ClipConfig) -> None:
    """Put the configuration beside weights that came without one and are open_clip's as they are."""
    with disk_errors(folder):
        (folder / CONFIG_FILE).write_bytes(written(config))


def _tokenizer(
    staged: intake.Staged, contents: Contents, found: Understood, limits: Limits
) -> TokenizerFacts | None:
    """The tokenizer that came along; `None` where texts are cut by CLIP's own, or by that of the base.

    Raises what `tokenizers.read` does, and `Unsupported` where a text tower needs one of its own and none came.
    """
    if _WORDS in found.lacking:
        return None
    text = found.config.text
    if not contents.tokenizer:
        if text.vocabulary - text.rows_behind != CLIP_VOCABULARY or text.strip_sep:
            raise Unsupported(
                "its text tower does not read CLIP's tokens, and no tokenizer came with it",
                "scan a repository that holds its tokenizer as well",
            )
        return tokenizers.own_cleaned(text.cleaning) if text.cleaning else None
    files = {name: staged.file(name).path for name in contents.tokenizer}
    bounds = parse_limits(limits)
    # open_clip's usual way with a tokenizer of the repository's own
    usual = "whitespace" if contents.config == CONFIG_FILE else ""
    facts = tokenizers.read(
        files,
        bounds,
        limits.tokenizer_bytes,
        clean=text.cleaning or usual,
        strip_sep=text.strip_sep,
    )
    if facts.kind == WORDPIECE and text.reads != "last":
        raise Unsupported(
            "its tokenizer is WordPiece, as text towers of the family of BERT have it",
            "of those in open_clip only CLIPA's are read",
        )
    facts.check(text.vocabulary)
    if text.rows_behind and facts.size > CLIP_VOCABULARY:
        raise Unsupported(
            f"its text tower and its tokenizer have {text.rows_behind} tokens more than CLIP's",
            "nothing yet: no clean base has them",
        )
    return facts


def _in_normal_form(found: Understood, parts: Parts, limits: Limits) -> Understood:
    """Without what adds nothing; one that runs under a reference's configuration has its form."""
    if found.problem or not normal_form.may_differ(found.config):
        return found
    try:
        planned = found if found.conversion else _as_planned(parts, limits, None)
    except Unsupported:  # open_clip reads a few files as they are that are not rewritten
        return found
    assert planned.conversion is not None
    made, notes = normal_form.of(planned.conversion, parts.weights)
    if not notes:
        return found
    return replace(planned, config=made.config, conversion=made, notes=notes)


def _prepared(folder: Path, weights: Path, digest: str, found: Understood, extra: str) -> Prepared:
    words = json.dumps(found.config.as_json(), sort_keys=True, separators=(",", ":"))
    return Prepared(
        folder=folder,
        weights=weights,
        weights_sha256=digest,
        config_digest=hashlib.sha256((words + extra).encode()).hexdigest(),
        config=found.config,
        own_settings_problem=found.problem,
        lacking=found.lacking,
        extra_digest=extra,
        notes=(*found.notes, *_left_out_note(found)),
    )


def _left_out_note(found: Understood) -> tuple[str, ...]:
    """What of the file is not audited."""
    if found.conversion is None or not found.conversion.left_out:
        return ()
    named = ", ".join(shown(name) for name in found.conversion.left_out)
    return (f"not audited: tensors that belong to neither tower ({named})",)


def _extra_digest(
    staged: intake.Staged, found: Understood, tokenizer: TokenizerFacts | None
) -> str:
    """What else decides an audit: a configuration that could not be run, a tokenizer, and a prompt learner."""
    digests = []
    if tokenizer is not None and not tokenizer.is_clips_own:
        digests.append(tokenizer.digest)
    if found.problem:
        for file in staged.files:
            if file.name.endswith(".json"):
                digests.append(file.sha256)
    if staged.learner is not None:
        digests.append(staged.learner.sha256)
    return "".join(digests)


def _converted(
    conversion: Conversion, parts: Parts, staged: intake.Staged, dest: Path, limits: Limits
) -> str:
    """Write the canonical form into the new folder `dest`, with a prompt learner; the sha256 of its weights.

    Raises `LimitExceeded` where views of the stored values, as tensors may be, come to more than a checkpoint may have.
    """
    size = sum(source.bytes for source in conversion.sources)
    if size > limits.checkpoint_bytes:
        raise LimitExceeded(
            f"its tensors have {size} bytes; the limit is {limits.checkpoint_bytes}",
            "raise limits.checkpoint_bytes if you expect such a checkpoint",
        )
    with disk_errors(dest.parent):
        dest.mkdir(mode=0o700)
        if staged.learner is not None:
            shutil.copy2(staged.learner.path, dest / staged.learner.name)
    return canonical.write(conversion, parts.weights, dest)


# --- which configuration fits -----------------------------------------------------------------------------------


def understood(parts: Parts, limits: Limits, known: Sequence[Reference]) -> Understood:
    """The configuration that fits the tensors, and how they become open_clip's. Raises what `prepare` does."""
    if not parts.small:
        return _without_configuration(parts, limits, known)
    try:
        return _as_described(parts, limits, None)
    except NeedsBase:
        for _, config in _configurations(known, limits):
            found = _where_it_fits(parts, limits, config)
            if found is not None:
                return found
        raise
    except OF_THE_CONFIGURATION as error:
        stands_in = _stand_in(parts, limits, known, error.what)
        if stands_in is None:
            raise
        return stands_in


def _without_configuration(parts: Parts, limits: Limits, known: Sequence[Reference]) -> Understood:
    """Where nothing but tensors came: settings that no shape shows are those of a reference with the same tensors."""
    stands_in = _stand_in(parts, limits, known, NO_CONFIGURATION)
    return stands_in or _as_described(parts, limits, None)


def _as_described(parts: Parts, limits: Limits, base: ClipConfig | None) -> Understood:
    if not parts.is_canonical:
        return _as_planned(parts, limits, base)
    try:
        bounds = parse_limits(limits)
        total = parts.totals[0] if parts.totals else None
        inspected = sandbox.inspect_files(parts.config(), parts.weights[0], bounds, total=total)
        return Understood(inspected.config, interpolated=inspected.interpolated)
    except (Unsupported, Unreadable):
        try:  # tensors of another layout beside open_clip's configuration, or one that describes no model
            return _as_planned(parts, limits, base)
        except NeedsBase:
            raise
        except (DifeError, OSError):
            pass  # what was said of it as open_clip's own is what there is to say
        raise


def _as_planned(parts: Parts, limits: Limits, base: ClipConfig | None) -> Understood:
    bounds = parse_limits(limits)
    made = sandbox.plan_conversion(
        parts.small, parts.weights, bounds, base=base, totals=parts.totals
    )
    return Understood(made.config, made, interpolated=made.interpolated)


def _stand_in(
    parts: Parts, limits: Limits, known: Sequence[Reference], problem: str
) -> Understood | None:
    """What the first reference makes of the tensors whose configuration asks for exactly these."""
    for reference, config in _configurations(known, limits):
        described = replace(parts, small=(Path(reference.path) / CONFIG_FILE,))
        found = _where_it_fits(described, limits, config)
        if found is not None:
            return replace(found, problem=problem)
    return None


def _where_it_fits(parts: Parts, limits: Limits, base: ClipConfig) -> Understood | None:
    """What the tensors are together with a base, where they fit as they are."""
    try:
        found = _as_described(parts, limits, base)
    except (DifeError, OSError):
        return None
    return None if found.interpolated else found


def _configurations(
    known: Sequence[Reference], limits: Limits
) -> Iterator[tuple[Reference, ClipConfig]]:
    for reference in known:
        try:
            yield reference, configuration(Path(reference.path), limits)
        except DifeError:
            continue  # a reference that is gone fits nothing


# --- what a part takes from its base ----------------------------------------------------------------------------


def complete(prepared: Prepared, reference: Reference, limits: Limits) -> Prepared:
    """The checkpoint with what it lacks taken from `reference`, whose configuration says what its own does not.

    Nothing is done to one that lacks nothing. Raises what `prepare` does where the reference does not fit.
    """
    if prepared.parts is None:
        return prepared
    base = Path(reference.path)
    parts = prepared.parts
    bounds = parse_limits(limits)
    part = _planned_with(prepared, parts, base, limits)
    part, left_out = normal_form.of(part, parts.weights)
    base_weights = intake.weights(base)
    names = dict(sandbox.inspect_files(base / CONFIG_FILE, base_weights, bounds).names)
    whole = canonical.with_base(part, base_weights, names, len(parts.weights), bounds)
    for name in (CONFIG_FILE, canonical.WEIGHTS_FILE):
        (prepared.folder / name).unlink()
    digest = canonical.write(whole, (*parts.weights, base_weights), prepared.folder)
    if _WORDS in prepared.lacking and (base / CANONICAL_FILE).exists():
        with disk_errors(prepared.folder):
            shutil.copyfile(base / CANONICAL_FILE, prepared.folder / CANONICAL_FILE)
    shutil.rmtree(parts.weights[0].parent, ignore_errors=True)
    found = Understood(whole.config, whole, prepared.own_settings_problem, notes=left_out)
    made = _prepared(prepared.folder, prepared.weights, digest, found, prepared.extra_digest)
    note = _one_tower_note(prepared.lacking, reference.name)
    if any(path.name == peft_lora.CONFIG_FILE for path in parts.small):
        note = f"it is an adapter: audited as merged onto {reference.name}"
    return replace(made, notes=(*made.notes, note))


def completed_config(prepared: Prepared, reference: Reference, limits: Limits) -> ClipConfig | None:
    """The configuration of the checkpoint, a part of one completed with `reference`; `None` where that does not fit."""
    if prepared.parts is None:
        return prepared.config
    try:
        return _planned_with(prepared, prepared.parts, Path(reference.path), limits).config
    except DifeError:
        return None


def _planned_with(prepared: Prepared, parts: Parts, base: Path, limits: Limits) -> Conversion:
    """How a part becomes a checkpoint together with the base in the folder `base`."""
    if prepared.own_settings_problem:
        parts = replace(parts, small=(base / CONFIG_FILE,))
    bounds = parse_limits(limits)
    return sandbox.plan_conversion(
        parts.small, parts.weights, bounds, base=configuration(base, limits)
    )


def _one_tower_note(lacking: Sequence[str], base: str) -> str:
    image_is_there = not any(is_of_image(name) and name not in PROJECTIONS for name in lacking)
    held, taken = ("image", "text") if image_is_there else ("text", "image")
    own = [name for name in lacking if name in PROJECTIONS and is_of_image(name) == image_is_there]
    alone, comes = ("alone", f"the {taken} tower comes")
    if own:
        alone, comes = ("without its projection", f"that and the {taken} tower come")
    return (
        f"it holds the {held} tower {alone}: {comes} from {base}, and the audit says nothing of whatever else it is "
        "used with"
    )
