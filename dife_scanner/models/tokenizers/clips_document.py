"""CLIP's own tokenizer as a `Document`: its vocabulary from the file that open_clip ships, and how CLIPs are saved.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from dife_scanner.models.tokenizers.document import AddedToken, Document
from dife_scanner.models.tokenizers.parts import Part

START_NAME, END_NAME = "<|startoftext|>", "<|endoftext|>"
_MERGES = 48_894
_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
PATTERNS = (_PATTERN, rf"<\|startoftext\|>|<\|endoftext\|>|{_PATTERN}")
"""What cuts a text into words. Libraries write either; special tokens are cut out before."""
OPTIONS: Part = {"end_of_word_suffix": "</w>", "unk_token": END_NAME}
NORMALISERS: tuple[Part, ...] = (
    {"type": "NFC"},
    {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
    {"type": "Lowercase"},
)


def split(pattern: str = _PATTERN) -> tuple[Part, ...]:
    """CLIP's pre-tokeniser."""
    return (
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
    )


def clips_document(merges_file: Path) -> Document:
    """CLIP's own, as transformers saves it."""
    merges = _merges(merges_file)
    letters = byte_letters()
    pieces = [*letters, *(letter + "</w>" for letter in letters)]
    pieces += [first + second for first, second in merges]
    start, end = len(pieces), len(pieces) + 1
    pieces += [START_NAME, END_NAME]
    return Document(
        kind="bpe",
        before=(start,),
        behind=(end,),
        added=(marker(start, START_NAME), marker(end, END_NAME)),
        normalisers=NORMALISERS,
        pre_tokenisers=split(),
        options=OPTIONS,
        vocabulary=tuple((piece, number) for number, piece in enumerate(pieces)),
        merges=merges,
    )


def _merges(file: Path) -> tuple[tuple[str, str], ...]:
    with gzip.open(file) as stream:
        lines = stream.read().decode("utf-8").split("\n")
    merges = []
    for line in lines[1 : _MERGES + 1]:
        first, second = line.split()
        merges.append((first, second))
    return tuple(merges)


def marker(number: int, content: str) -> AddedToken:
    """A token that is put around texts."""
    return AddedToken(number, content, special=True)


def byte_letters() -> list[str]:
    """The letter that each byte is written as, in the order of CLIP's ids: printable bytes first, as themselves."""
    return [letter for _, letter in byte_table()]


def byte_table() -> list[tuple[int, str]]:
    """(byte, letter) of all 256 bytes."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = [(byte, chr(byte)) for byte in printable]
    table += [(byte, chr(256 + place)) for place, byte in enumerate(others)]
    return table
