"""What differs between two tokenizers, in words. Standard library only: this runs in the limited child."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dife_scanner.models.strict_json import shown
from dife_scanner.models.tokenizers.clips_document import PATTERNS
from dife_scanner.models.tokenizers.document import WITH_IDS, AddedToken, Document
from dife_scanner.models.tokenizers.parts import Part

_TOLD = 5
"""Examples that one sentence gives."""


def differences(ours: Document, base: Document) -> tuple[str, ...]:
    """Each difference of a tokenizer from that of its base as part of a sentence; empty where both compute the same.

    >>> differences(Document("bpe", behind=(1,)), Document("bpe", behind=(2,)))
    ('every text ends with [1] and not with [2]',)
    """
    if ours.kind != base.kind:
        return (f"it is of the kind {ours.kind} and not {base.kind}",)
    if base.vocabulary and not of_one_family(ours, base):
        return (f"its vocabulary is another one, of {len(ours.vocabulary)} pieces",)
    return (
        *_added(ours, base),
        *_normalisers(ours, base),
        *_pre_tokenisers(ours, base),
        *_pieces(ours, base),
        *_merges(ours, base),
        *_around(ours, base),
        *_rest(ours, base),
    )


def of_one_family(ours: Document, base: Document) -> bool:
    """Whether most pieces of the base's vocabulary stand at the same place in ours."""
    if ours.kind != base.kind:
        return False
    own = ours.pieces
    known = base.pieces
    shared = sum(own.get(number) == piece for number, piece in known.items())
    return 2 * shared >= len(known)


def _added(ours: Document, base: Document) -> Iterable[str]:
    known = {(token.id, token.content) for token in base.added}
    own = {(token.id, token.content) for token in ours.added}
    ends = {*base.before, *base.behind}
    more = [token for token in ours.added if (token.id, token.content) not in known]
    more = [token for token in more if token.id not in ends]
    less = [token for token in base.added if (token.id, token.content) not in own]
    less = [token for token in less if token.id not in {one.id for one in ours.added}]
    if more:
        yield f"{_counted(more, 'added token')}: {_told(map(_token_words, more))}"
    if less:
        yield f"{_counted(less, 'added token')} missing: {_told(map(_token_words, less))}"
    flags = {token.id: token for token in base.added}
    changed = [token for token in ours.added if token.id in flags and token not in more]
    changed = [token for token in changed if _flags(token) != _flags(flags[token.id])]
    if changed:
        yield f"{_counted(changed, 'added token')} matched otherwise: {_told(map(_token_words, changed))}"


def _flags(token: AddedToken) -> tuple[bool, ...]:
    return token.single_word, token.lstrip, token.rstrip, token.normalized


def _token_words(token: AddedToken) -> str:
    return f"{shown(token.content)} is token {token.id}"


def _normalisers(ours: Document, base: Document) -> Iterable[str]:
    if ours.clean != base.clean:
        yield f"texts are cleaned by {ours.clean or 'nothing'} and not by {base.clean or 'nothing'}"
    more = [part for part in ours.normalisers if part not in base.normalisers]
    less = [part for part in base.normalisers if part not in ours.normalisers]
    for part in more:
        yield f"its normaliser {_step_words(part)}"
    for part in less:
        yield f"its normaliser lacks a step that {_step_words(part)}"
    if not more and not less and ours.normalisers != base.normalisers:
        yield "the steps of its normaliser stand in another order"


def _step_words(part: Part) -> str:
    if part["type"] == "Replace":
        pattern = next(iter(part["pattern"].values()))
        return f"replaces {shown(pattern)} by {shown(part.get('content', ''))}"
    return f"applies {part['type']}"


def _pre_tokenisers(ours: Document, base: Document) -> Iterable[str]:
    if _plain(ours.pre_tokenisers) != _plain(base.pre_tokenisers):
        yield "it cuts texts into words by other rules"


def _plain(parts: Sequence[Part]) -> list[Part]:
    """Parts without what changes no id: offsets, and the two ways in which CLIP's words are written."""
    found: list[Part] = []
    for part in parts:
        plain = {key: value for key, value in part.items() if key != "trim_offsets"}
        if plain.get("pattern") in [{"Regex": pattern} for pattern in PATTERNS]:
            plain["pattern"] = {"Regex": PATTERNS[0]}
        # splitting again what CLIP's rule has split changes nothing
        if plain["type"] == "ByteLevel" and found:
            plain.pop("use_regex", None)
        found.append(plain)
    return found


def _pieces(ours: Document, base: Document) -> Iterable[str]:
    ends = {*base.before, *base.behind}
    own: dict[str, float]
    known: dict[str, float]
    if ours.kind in WITH_IDS:
        own = {piece: number for piece, number in ours.vocabulary if number not in ends}
        known = {piece: number for piece, number in base.vocabulary if number not in ends}
        words = "with another id"
    else:
        own, known = dict(ours.vocabulary), dict(base.vocabulary)
        words = "with another score"
    more = sorted(own.keys() - known.keys())
    less = sorted(known.keys() - own.keys())
    moved = sorted(piece for piece in own.keys() & known.keys() if own[piece] != known[piece])
    for pieces, what in ((more, "that its base lacks"), (less, "missing"), (moved, words)):
        if pieces:
            yield f"{_counted(pieces, 'piece')} of the vocabulary {what}: {_told(map(shown, pieces))}"
    same = not more and not less and not moved
    if same and ours.kind not in WITH_IDS and ours.vocabulary != base.vocabulary:
        yield "the pieces of its vocabulary stand in another order"


def _merges(ours: Document, base: Document) -> Iterable[str]:
    if ours.merges == base.merges:
        return
    count = len(set(ours.merges) ^ set(base.merges))
    if count:
        yield f"{count} merges differ" if count > 1 else "1 merge differs"
    else:
        yield "its merges stand in another order"


def _around(ours: Document, base: Document) -> Iterable[str]:
    if ours.before != base.before:
        yield f"every text begins with {list(ours.before)} and not with {list(base.before)}"
    if ours.behind != base.behind:
        yield f"every text ends with {list(ours.behind)} and not with {list(base.behind)}"
    if (ours.fills, ours.pad) != (base.fills, base.pad):
        yield f"texts are filled up with token {ours.pad} and not with {base.pad}"
    if ours.zeroed != base.zeroed:
        yield f"tokens {list(ours.zeroed)} and not {list(base.zeroed)} are read as 0"


def _rest(ours: Document, base: Document) -> Iterable[str]:
    if _but_unknown(ours.options) != _but_unknown(base.options):
        yield "its model has other options"
    if ours.model != base.model and ours.vocabulary == base.vocabulary:
        yield "its sentencepiece model prepares texts otherwise"


def _but_unknown(options: Part) -> Part:
    """A byte-level vocabulary knows every text; its unknown token is a name that is never used."""
    return {name: value for name, value in options.items() if name != "unk_token"}


def _counted(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}" + ("s" if len(things) > 1 else "")


def _told(words: Iterable[str]) -> str:
    listed = list(words)
    told = ", ".join(listed[:_TOLD])
    return f"{told}, …" if len(listed) > _TOLD else told
