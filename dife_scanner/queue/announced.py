"""Files that were audited before, told by the hashes that a hub announces: the same weights are not fetched twice.

Large files are announced with their sha256, and a fetch only ever accepts bytes with exactly that hash. So fetching
could lead to no other audit than the one these hashes led to before, as long as everything else that decides on an
audit is the same; that is in the key as well. Small files kept in git come with git's SHA-1 alone, which no longer
proves anything: they are fetched and hashed.

What the hub would really send to somebody is not known without fetching. So the claim is worded as that: it
*announces* the same files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner import __version__, checkpoints
from dife_scanner.audit.plan import identity
from dife_scanner.baselines import references
from dife_scanner.core import artefacts, canonical
from dife_scanner.core.verdict import is_complete
from dife_scanner.queue.work import Work
from dife_scanner.records import Artefact, Audit, HubFile, Job, Manifest, Reference
from dife_scanner.store import Store, announced, audits
from dife_scanner.store import references as kept_references

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub


def key_of(store: Store, work: Work, manifest: Manifest, hub: Callable[[], Hub]) -> str:
    """What stands for these files and everything else that decides which audit they get.

    Raises the hub's errors where a small file has to be fetched to be hashed.
    """
    files = [_hashed(work, manifest, file, hub) for file in manifest.files]
    parts = (
        json.dumps(sorted(files)),
        manifest.layout.value,
        canonical.text(manifest.base_claims),
        json.dumps(manifest.unread),
        __version__,
        work.settings.limits.model_dump_json(),
        work.reference,
        f"a base may be fetched: {_may_fetch_base(work)}",
        *(sha256(path.read_bytes()).hexdigest() for path in _registries(work)),
        identity("", "", None, work.plan),
        *_references(store),
    )
    return sha256("\x1f".join(parts).encode()).hexdigest()


def artefact_of(work: Work, manifest: Manifest, hub: Callable[[], Hub]) -> Artefact | None:
    """The identity of the files that an audit of this manifest reads. Raises what `key_of` does."""
    files = [_hashed(work, manifest, file, hub) for file in manifest.files]
    return artefacts.artefact(manifest, {path: digest for path, _, digest in files})


def _may_fetch_base(work: Work) -> bool:
    """Whether a base that is not here could come while the checkpoint is audited."""
    fetch = work.settings.references.fetch
    return fetch == "auto" or (fetch == "ask" and work.confirm is not None)


def _registries(work: Work) -> list[Path]:
    """The user's own files of bases; one that is gone is told where bases are chosen."""
    return [path for path in work.settings.references.registry if path.is_file()]


def _hashed(
    work: Work, manifest: Manifest, file: HubFile, hub: Callable[[], Hub]
) -> tuple[str, int, str]:
    """Path, bytes and sha256 of a file; fetched where none was announced."""
    digest = file.sha256
    if not digest:
        cache = checkpoints.cache_folder(work.home, manifest.ref)
        most = work.settings.limits.small_file_bytes
        with hub().fetch(manifest.ref, file, cache, limit=most).open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
    return file.path, file.size or 0, digest


def _references(store: Store) -> list[str]:
    """The references that can be chosen, and what was found in each, which is tried on what is compared with it."""
    texts = []
    for reference in kept_references.references(store):
        found = references.triggers_found_in(store, reference)
        texts += [_text(reference), *(canonical.text(trigger) for trigger in found)]
    return texts


def _text(reference: Reference) -> str:
    towers = f"{reference.image_tower}:{reference.text_tower}"
    return f"{reference.name} {towers} {reference.weights_sha256} {reference.architecture}"


@dataclass(frozen=True)
class Before:
    """A complete audit of the same files."""

    audit: Audit
    reference: Reference | None
    """The one that was chosen for it."""


def audited_before(store: Store, key: str) -> Before | None:
    """The complete audit that these files led to; `None` where there is none."""
    led = announced.led_to(store, key)
    if led is None:
        return None
    found = audits.audit_by_identity(store, led.identity)
    if found is None or not is_complete(found):
        return None
    known = kept_references.references(store)
    reference = next((one for one in known if one.name == led.reference), None)
    return Before(found, reference)


def keep(
    store: Store, work: Work, key: str, led: announced.Led, done: Job, *, has_base: bool
) -> None:
    """Keep where the files of `key` led, if the job ended with the audit of that identity.

    Not where no base was found although one might be fetched: the next try may get it.
    """
    if not has_base and _may_fetch_base(work):
        return
    found = audits.audit_by_identity(store, led.identity)
    # an audit that chose its reference only while it ran is stored under another identity, and not found by this one
    if found is not None and found.id == done.audit_id:
        announced.keep(store, key, led)
