"""A repository's tokenizer, read in a limited child; what comes out of it, and the way back from a folder.

The child is started like that of `sandbox`, and has two libraries besides, `tokenizers` and `sentencepiece`. It takes
its limits before it reads a byte.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from dife_scanner.confinement.fork_server import ForkServer
from dife_scanner.errors import LimitExceeded, NotFound, Unreadable
from dife_scanner.models import sandbox
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.tokenizers.child import found
from dife_scanner.models.tokenizers.clips_document import clips_document
from dife_scanner.models.tokenizers.clips_own import clips_own, merges_file, own_digest
from dife_scanner.models.tokenizers.document import Document, digest_of
from dife_scanner.models.tokenizers.interface import Tokenizer
from dife_scanner.models.tokenizers.made import READ_FILES
from dife_scanner.models.tokenizers.stored import tokenizer_of

CANONICAL_FILE = "dife_tokenizer.json"
"""The document in a canonical folder; none lies there where CLIP's own is used. No library writes a file of that name,
so that none of a repository's own is taken for it."""
_LIBRARIES = ("tokenizers", "sentencepiece")
_MOST_GROWTH = 8
"""How many times as long as the files a document may be: characters are written as escapes."""


@dataclass(frozen=True)
class TokenizerFacts:
    """What a repository's tokenizer is."""

    kind: str
    """`clip` where it computes what CLIP's own does, which is then used; else that of its document."""
    size: int
    """Rows that the token table has to have."""
    special: frozenset[int]
    digest: str
    """sha256 of what it computes."""
    differences: tuple[str, ...]
    """From CLIP's own, and what else about its files is odd, each as part of a sentence."""
    document: bytes
    """Empty for `clip`."""

    @property
    def is_clips_own(self) -> bool:
        """Whether nothing has to be stored."""
        return not self.document

    def check(self, rows: int) -> None:
        """Raise `Unreadable` where a token table of so many rows lacks one of its ids."""
        if self.size > rows:
            raise Unreadable(
                f"its tokenizer has {self.size} tokens and its text tower rows for {rows}",
                "save both together again",
            )

    def write(self, folder: Path) -> None:
        """Put the document into a canonical folder, unless CLIP's own is used."""
        if not self.is_clips_own:
            (folder / CANONICAL_FILE).write_bytes(self.document)


def own_cleaned(clean: str) -> TokenizerFacts:
    """CLIP's own tokenizer behind another way of cleaning texts, as open_clip can be told to use it."""
    own = clips_own()
    document = replace(own.document, clean=clean).as_bytes()
    return TokenizerFacts(
        kind="bpe",
        size=own.size,
        special=own.special,
        digest=digest_of(document),
        differences=(f"texts are cleaned as open_clip does under {clean!r}",),
        document=document,
    )


def load(folder: Path) -> Tokenizer:
    """The tokenizer of a canonical folder: its document's, or CLIP's own. `NotFound` where it cannot be read."""
    path = folder / CANONICAL_FILE
    if not path.exists():
        return clips_own()
    try:
        return tokenizer_of(Document.from_bytes(path.read_bytes()))
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}", "put the file back") from error


# --- the parent's side ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Question:
    """What the child is given: numbers of open files, which are others in the child, what each is called, and what the
    configuration says."""

    files: tuple[int, ...]
    names: tuple[str, ...]
    clean: str
    strip_sep: bool


def read(
    files: Mapping[str, Path],
    limits: ParseLimits,
    most_bytes: int,
    *,
    clean: str = "",
    strip_sep: bool = False,
) -> TokenizerFacts:
    """Read the files of one tokenizer, by their names; others than `READ_FILES` are not looked at.

    `clean` is what the layout's library does to a text before, see `cleaning`; with `strip_sep` the separator is read
    as 0.

    Raises `Unsupported` for a kind that is not read, `Unreadable` for damaged files, `Refused` for files that try
    something or crash the parser, `LimitExceeded` naming the setting, `AuditError` where somebody ends the child.
    """
    read_files = {name: files[name] for name in READ_FILES if name in files}
    total = sum(path.stat().st_size for path in read_files.values())
    if total > most_bytes:
        raise LimitExceeded(
            f"its tokenizer has {total} bytes; the limit is {most_bytes}",
            "raise limits.tokenizer_bytes if you expect such files",
        )
    with contextlib.ExitStack() as opened:
        numbers = []
        for path in read_files.values():
            numbers.append(opened.enter_context(path.open("rb")).fileno())
        question = _Question(tuple(numbers), tuple(read_files), clean, strip_sep)
        arguments = [json.dumps(asdict(question)), json.dumps(asdict(limits))]
        child = sandbox.start(_server(), arguments, numbers)
        body = sandbox.answer(child, "its tokenizer", limits, _MOST_GROWTH * most_bytes)
    document = body["document"].encode()
    return TokenizerFacts(
        kind=body["kind"],
        size=body["size"],
        special=frozenset(body["special"]),
        digest=digest_of(document) if document else own_digest(),
        differences=tuple(body["differences"]),
        document=document,
    )


@cache
def _server() -> ForkServer:
    few_threads = {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
    return ForkServer(
        f"{__name__}:main",
        sandbox.environment() | few_threads,
        prepared=(_site(), str(merges_file())),
    )


def _site() -> str:
    """The folder that both libraries are installed in."""
    package = find_spec(_LIBRARIES[0])
    assert package is not None and package.origin is not None
    return str(Path(package.origin).parents[1])


# --- the child's side -----------------------------------------------------------------------------------------


class _Libraries(MetaPathFinder):
    """Finds the two libraries in a folder, and nothing else that lies there."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As the import system asks for a module."""
        if fullname not in _LIBRARIES:
            return None
        return PathFinder.find_spec(fullname, [self._folder])


def prepare(site: str, merges: str) -> None:
    """Entry of the server: load both libraries from `site`, and CLIP's own tokenizer from its file of merges."""
    sys.meta_path.append(_Libraries(site))
    import sentencepiece  # noqa: F401
    import tokenizers  # noqa: F401

    _own.append(clips_document(Path(merges)))


_own: list[Document] = []
"""CLIP's own tokenizer, in the server and its children."""


def main(arguments: Sequence[str], files: Sequence[int]) -> None:
    """Entry of the child: the question and the limits as JSON; the answer goes to stdout."""
    question = replace(_Question(**json.loads(arguments[0])), files=tuple(files))
    limits = ParseLimits(**json.loads(arguments[1]))
    sandbox.limit_this_process(limits)

    def answer() -> dict[str, Any]:
        files = _read_all(question)
        return found(files, question.clean, _own[0], strip_sep=question.strip_sep).as_json()

    sandbox.reply(answer, "its tokenizer", limits)


def _read_all(question: _Question) -> dict[str, bytes]:
    contents = {}
    for name, number in zip(question.names, question.files, strict=True):
        with os.fdopen(number, "rb") as file:
            contents[name] = file.read()
    return contents
