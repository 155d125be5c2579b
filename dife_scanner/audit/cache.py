"""Encode each distinct input once per distinct tower.

A `CachedEncoder` is an `Encoder` that remembers. Two of them share one `Memory`, so a suspect whose image tower equals
the reference's never encodes a picture of its own. What a reference paid for is kept on disk per tower, up to a bound.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dife_scanner.durable.atomic import atomic_write
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Encoded

Embeddings = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Encode = Callable[[list[int]], Embeddings]
"""Encodes the inputs at these positions."""

_DIGEST_BYTES = 16
MOST_BYTES = 64 << 20
"""Of the embeddings of one tower that are kept on disk; those that were not asked for the longest go first."""


class Memory:
    """Embeddings by tower and input digest, and the count of what was computed for them.

    `performed` counts rows that went through a tower; `distinct` counts distinct inputs that were not already on
    disk. The two are equal when nothing is encoded twice. What searches read is in neither: they count their passes.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._rows: dict[str, dict[bytes, Embeddings]] = {}
        self._computed: set[tuple[str, bytes]] = set()
        self._prepared: dict[tuple[str, int], tuple[Pixels, Pixels]] = {}
        self.performed = 0
        self.encoded = Encoded()
        """Of all that was asked for, also where it is counted elsewhere."""

    @property
    def distinct(self) -> int:
        return len(self._computed)

    def computed(self, towers: Container[str]) -> int:
        """Distinct inputs that went through one of these towers."""
        return sum(tower in towers for tower, _ in self._computed)

    def computed_texts(self, texts: Iterable[str]) -> int:
        """How many of these texts went through a tower, each once per tower."""
        digests = set(map(_text_digest, texts))
        return sum(digest in digests for _, digest in self._computed)

    def rows(self, tower: str) -> dict[bytes, Embeddings]:
        """Input digest -> embedding [d], of everything this tower has encoded."""
        if tower not in self._rows:
            self._rows[tower] = self._load(tower)
        return self._rows[tower]

    def fill(
        self,
        tower: str,
        digests: Sequence[bytes],
        encode: Encode,
        *,
        counted: bool = True,
    ) -> Embeddings:
        """Embeddings [n, d] for `digests` in order; `encode(indices)` is called once, for those not known yet."""
        rows = self.rows(tower)
        missing = _first_positions(digests, rows)
        if missing:
            fresh = encode(list(missing.values()))
            if counted:
                self._computed.update((tower, digest) for digest in missing)
                self.performed += len(fresh)
            rows.update(zip(missing, fresh, strict=True))
        _put_last(rows, digests)
        return np.stack(list(map(rows.__getitem__, digests)))

    def note(self, *, pictures: int = 0, texts: int = 0, remembered: int = 0) -> None:
        """Add to what is `encoded`."""
        before = self.encoded
        self.encoded = Encoded(
            before.pictures + pictures, before.texts + texts, before.remembered + remembered
        )

    def prepared(
        self,
        tower: str,
        images: Pixels,
        prepare: Callable[[Pixels], Pixels],
    ) -> Pixels:
        """`images` as this image tower reads them; the very same array is prepared once per tower."""
        key = (tower, id(images))
        if key not in self._prepared:
            # Holding on to `images` keeps its id taken.
            self._prepared[key] = (images, prepare(images))
        return self._prepared[key][1]

    def save(self, towers: Sequence[str]) -> None:
        """Keep these towers' embeddings for later audits; each file is replaced as a whole."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for tower in towers:
            rows = self._rows.get(tower)
            if rows:
                _write(self._file(tower), rows)

    def _file(self, tower: str) -> Path:
        return (self._folder or Path()) / f"{tower[:40]}.npz"

    def _load(self, tower: str) -> dict[bytes, Embeddings]:
        """What is on disk for this tower; nothing where the file cannot be read."""
        if self._folder is None or not self._file(tower).exists():
            return {}
        try:
            with np.load(self._file(tower), allow_pickle=False) as kept:
                digests = kept["digests"].reshape(-1, _DIGEST_BYTES)
                vectors = kept["vectors"]
        except (OSError, ValueError, KeyError):
            # A cache that cannot be read is a cache miss.
            return {}
        return dict(zip(map(bytes, digests), vectors, strict=True))


def _first_positions(digests: Sequence[bytes], known: Container[bytes]) -> dict[bytes, int]:
    """Every digest that is not known, with the place where it stands first."""
    missing: dict[bytes, int] = {}
    for index, digest in enumerate(digests):
        # A text may stand twice in one call; its first place is encoded.
        if digest not in known:
            missing.setdefault(digest, index)
    return missing


def _put_last(rows: dict[bytes, Embeddings], digests: Sequence[bytes]) -> None:
    """Order `rows` by when they were asked for."""
    for digest in digests:
        rows[digest] = rows.pop(digest)


def _write(path: Path, rows: dict[bytes, Embeddings]) -> None:
    some = next(iter(rows.values()))
    most = MOST_BYTES // (some.nbytes + _DIGEST_BYTES)
    first = max(0, len(rows) - most)
    kept = dict(itertools.islice(rows.items(), first, None))
    digests = np.frombuffer(b"".join(kept), np.uint8)
    vectors = np.stack(list(kept.values()))
    with atomic_write(path) as part:
        np.savez(part, digests=digests, vectors=vectors)


class CachedEncoder:
    """An `Encoder` over `encoder` that looks in `memory` first.

    `keeps_pictures`: prepared pictures stay in memory, for those that are read more than once. `counted`: what is
    encoded counts as encodes of the audit; what a search asks for counts as its passes instead.
    """

    def __init__(
        self,
        encoder: Encoder,
        memory: Memory,
        *,
        on_encoded: Callable[[int], None] | None = None,
        keeps_pictures: bool = True,
        counted: bool = True,
    ) -> None:
        self._encoder = encoder
        self._counted = counted
        self._keeps_pictures = keeps_pictures
        self._memory = memory
        self._on_encoded = on_encoded
        self.image_tower = encoder.image_tower
        self.text_tower = encoder.text_tower
        self.tokenizer = encoder.tokenizer
        self.image_size = encoder.image_size
        self.context_length = encoder.context_length
        self.logit_scale = encoder.logit_scale
        self.architecture = encoder.architecture
        self.device = encoder.device

    @property
    def text_width(self) -> int:
        return self._encoder.text_width

    @property
    def wrapped(self) -> Encoder:
        """The encoder itself, for what is asked of its towers besides embeddings."""
        return self._encoder

    def prepare(self, images: Pixels) -> Pixels:
        if not self._keeps_pictures:
            return self._encoder.prepare(images)
        return self._memory.prepared(self.image_tower, images, self._encoder.prepare)

    def token_count(self, text: str) -> int:
        return self._encoder.token_count(text)

    def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        def encode(missing: list[int]) -> Embeddings:
            self._memory.note(pictures=len(missing), remembered=-len(missing))
            # Without the copy that indexing makes, where nothing is known yet.
            everything = len(missing) == len(pixels)
            return self._encoder.encode_images(pixels if everything else pixels[missing])

        digests = list(map(_image_digest, pixels))
        return self._fill(self.image_tower, digests, encode)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        def encode(missing: list[int]) -> Embeddings:
            self._memory.note(texts=len(missing), remembered=-len(missing))
            return self._encoder.encode_texts(_at(missing, texts))

        digests = list(map(_text_digest, texts))
        return self._fill(self.text_tower, digests, encode)

    def encode_with_context(self, contexts: Embeddings, texts: Sequence[str]) -> Embeddings:
        def encode(missing: list[int]) -> Embeddings:
            self._memory.note(texts=len(missing), remembered=-len(missing))
            return self._encoder.encode_with_context(contexts[missing], _at(missing, texts))

        digests = [
            _context_digest(context, text) for context, text in zip(contexts, texts, strict=True)
        ]
        return self._fill(self.text_tower, digests, encode)

    def _fill(self, tower: str, digests: Sequence[bytes], encode: Encode) -> Embeddings:
        """From memory, reporting how many inputs are encoded for it."""
        self._memory.note(remembered=len(digests))

        def reported(missing: list[int]) -> Embeddings:
            if self._on_encoded is not None:
                self._on_encoded(len(missing))
            return encode(missing)

        return self._memory.fill(tower, digests, reported, counted=self._counted)


def _at(indices: list[int], texts: Sequence[str]) -> list[str]:
    return [texts[index] for index in indices]


def _image_digest(image: Pixels) -> bytes:
    return blake2b(image.tobytes(), digest_size=_DIGEST_BYTES).digest()


def _text_digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def _context_digest(context: Embeddings, text: str) -> bytes:
    """A digest apart from every text's own, and from any other split of the same bytes into vectors and text."""
    # The shape says where the vectors end and the text begins.
    shape = repr((context.shape, context.dtype.str)).encode()
    digest = blake2b(shape, digest_size=_DIGEST_BYTES, person=b"context")
    digest.update(context.tobytes())
    digest.update(text.encode())
    return digest.digest()
