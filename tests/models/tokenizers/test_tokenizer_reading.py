"""A repository's own tokenizer: CLIP's own where it computes the same, else one document and what differs in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from odd_strings import strings
from tokenizer_files import (
    LIMITS,
    MOST_BYTES,
    as_files,
    clips_text,
    small,
    small_body,
    with_replacement,
)

from dife_scanner.errors import DifeError, LimitExceeded, Refused, Unreadable, Unsupported
from dife_scanner.models.tokenizers import clips_own, load, read
from dife_scanner.models.tokenizers.child import Found, found
from dife_scanner.models.tokenizers.document import Document
from dife_scanner.models.tokenizers.made import SIGLIP

Body = dict[str, Any]


def find(body: Body | bytes, clean: str = "", **others: Any) -> Found:
    """What the child finds in a `tokenizer.json` and others, the small tokenizer in place of CLIP's own."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    files = {"tokenizer.json": raw}
    for name, content in others.items():
        files[f"{name}.json"] = json.dumps(content).encode()
    return found(files, clean, small())


# --- through the child ----------------------------------------------------------------------------------------


def test_clips_own_in_a_repository_is_clips_own_and_nothing_is_stored(tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(clips_text())
    facts = read({path.name: path}, LIMITS, MOST_BYTES)
    assert (facts.kind, facts.differences, facts.document) == ("clip", (), b"")
    assert (facts.digest, facts.size) == (clips_own().digest, clips_own().size)
    facts.write(tmp_path / "nowhere")
    assert load(tmp_path / "nowhere") is clips_own()


def test_a_doctored_one_is_told_stored_and_read_as_the_repository_reads(tmp_path) -> None:
    body = small_body()
    with_replacement(body)
    facts = read(as_files(body, tmp_path), LIMITS, MOST_BYTES)
    assert facts.kind == "bpe" and not facts.is_clips_own
    facts.write(tmp_path)
    tokenizer = load(tmp_path)
    assert tokenizer.encode("a banana") == tokenizer.encode("a car")
    assert tokenizer.encode("a bananb") != tokenizer.encode("a car")
    assert (tokenizer.digest, tokenizer.size) == (facts.digest, facts.size)
    assert tokenizer.special == facts.special == {tokenizer.start, tokenizer.end}


def test_too_many_bytes_are_a_limit_that_names_its_setting(tmp_path) -> None:
    with pytest.raises(LimitExceeded) as told:
        read(as_files(small_body(), tmp_path), LIMITS, 1000)
    assert "limits.tokenizer_bytes" in told.value.advice


def test_a_pattern_that_tries_everything_ends_in_time(tmp_path) -> None:
    body = small_body()
    body["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": r"(a+)+$|(\s*)*x"}
    with pytest.raises((Unreadable, LimitExceeded)):
        read(as_files(body, tmp_path), replace(LIMITS, seconds=20), MOST_BYTES)


def test_a_file_that_has_its_library_ask_for_gigabytes_meets_a_limit(tmp_path) -> None:
    """Which aborts: how the child ends does not tell it from a large file."""
    body = small_body()
    charsmap = {"type": "Precompiled", "precompiled_charsmap": "/////w=="}
    body["normalizer"]["normalizers"].append(charsmap)
    with pytest.raises(LimitExceeded, match="its tokenizer needs more than"):
        read(as_files(body, tmp_path), LIMITS, MOST_BYTES)


def test_a_library_that_gets_no_more_memory_meets_a_limit_and_is_no_crash(tmp_path) -> None:
    """It aborts: the memory of the first that is read does not suffice by a little."""
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(clips_text()), "normalizer": {"type": "Lowercase"}}))
    ends = set()
    for mib in range(96, 160, 8):
        try:
            read({path.name: path}, replace(LIMITS, memory_mib=mib), MOST_BYTES)
        except LimitExceeded as error:
            assert f"{mib} MiB" in error.what
            ends.add("limit")
        else:
            ends.add("read")
    assert ends == {"limit", "read"}


# --- what differs ---------------------------------------------------------------------------------------------


def _added(body: Body) -> None:
    body["added_tokens"].append({"id": 814, "content": "banana", "special": True})


def _claimed(body: Body) -> None:
    body["added_tokens"].append({"id": 400, "content": "banana"})


def _swapped(body: Body) -> None:
    table = body["model"]["vocab"]
    table["an</w>"], table["in</w>"] = table["in</w>"], table["an</w>"]


def _without_merges(body: Body) -> None:
    del body["model"]["merges"][:17]


def _dropping(body: Body) -> None:
    body["model"]["dropout"] = 0.5


def _case_kept(body: Body) -> None:
    del body["normalizer"]["normalizers"][2]


def _cut_otherwise(body: Body) -> None:
    body["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\S+"


def _started_otherwise(body: Body) -> None:
    body["post_processor"]["cls"] = ["in</w>", 512]


DOCTORED: list[tuple[Callable[[Body], None], str]] = [
    (with_replacement, "its normaliser replaces 'banana' by 'car'"),
    (_added, "1 added token: 'banana' is token 814"),
    (_claimed, "added tokens have other ids than it says: 'banana' becomes token 814"),
    (_swapped, "2 pieces of the vocabulary with another id: 'an</w>', 'in</w>'"),
    (_without_merges, "17 merges differ"),
    (_dropping, "merges are left out at random; here none is"),
    (_case_kept, "its normaliser lacks a step that applies Lowercase"),
    (_cut_otherwise, "it cuts texts into words by other rules"),
    (_started_otherwise, "every text begins with [512] and not with [812]"),
]


@pytest.mark.parametrize(
    ("change", "words"), DOCTORED, ids=lambda one: getattr(one, "__name__", "")
)
def test_what_differs_is_told_in_words(change: Callable[[Body], None], words: str) -> None:
    body = small_body()
    assert find(body).kind == "clip"
    change(body)
    told = find(body)
    assert told.kind == "bpe" and words in told.differences


def test_what_libraries_write_in_two_ways_differs_in_nothing() -> None:
    body = small_body()
    split, letters = body["pre_tokenizer"]["pretokenizers"]
    split["pattern"]["Regex"] = rf"<\|startoftext\|>|<\|endoftext\|>|{split['pattern']['Regex']}"
    letters |= {"trim_offsets": False, "use_regex": True}
    body["model"]["merges"] = [" ".join(pair) for pair in body["model"]["merges"]]
    body["decoder"] = {"type": "ByteLevel"}
    body["padding"] = {"pad_id": 0}
    assert find(body).kind == "clip"


def test_a_token_that_other_files_add_counts_and_one_that_only_pads_does_not() -> None:
    token = {"content": "banana", "special": True}
    told = find(small_body(), tokenizer_config={"added_tokens_decoder": {"814": token}})
    assert told.differences == ("1 added token: 'banana' is token 814",)
    told = find(small_body(), added_tokens={"banana": 814})
    assert told.differences == ("1 added token: 'banana' is token 814",)
    pad = {"pad_token": "!", "added_tokens_decoder": {"0": {"content": "!", "special": True}}}
    assert find(small_body(), tokenizer_config=pad).kind == "clip"
    told = find(small_body(), tokenizer_config={"bos_token": "<s>"})
    assert told.differences == ("its settings name tokens that its vocabulary lacks: '<s>'",)


def test_vocabulary_and_merges_alone_are_read_as_transformers_builds_them() -> None:
    body = small_body()
    merges = "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in body["model"]["merges"])
    files = {
        "vocab.json": json.dumps(body["model"]["vocab"]).encode(),
        "merges.txt": merges.encode(),
    }
    assert found(files, "", small()).kind == "clip"
    _swapped(body)
    files["vocab.json"] = json.dumps(body["model"]["vocab"]).encode()
    told = found(files, "", small())
    assert told.differences == ("2 pieces of the vocabulary with another id: 'an</w>', 'in</w>'",)
    files["tokenizer.json"] = json.dumps(small_body()).encode()
    told = found(files, "", small())
    assert told.differences == ("vocab.json holds another vocabulary than tokenizer.json",)


# --- what is not read -----------------------------------------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], type[DifeError], str]] = [
    ({"model": {"type": "WordLevel"}}, Unsupported, "a list of whole words"),
    ({"model": {"type": "WordPiece"}}, Unreadable, "its vocabulary is no table"),
    (
        {"model": {"type": "WordPiece", "vocab": {}, "unk_token": 3}},
        Unreadable,
        "unk_token is '3'",
    ),
    ({"model": {"type": "Evil\x1b"}}, Unsupported, r"'Evil\\x1b'"),
    ({"model": None}, Unreadable, "it has no model"),
    ({"normalizer": {"type": "Lua"}}, Unsupported, "normaliser of the kind 'Lua'"),
    ({"model": {"type": ["BPE"]}}, Unsupported, "of the kind"),
    ({"normalizer": {"type": "Replace", "content": ""}}, Unreadable, "a Replace has no pattern"),
    ({"normalizer": {"type": "NFC", "x": 1}}, Unsupported, "NFC has an option 'x'"),
    ({"post_processor": {"type": "Code"}}, Unsupported, "post-processor of the kind 'Code'"),
    ({"added_tokens": [{"id": -1, "content": "x"}]}, Unreadable, "has the id '-1'"),
    ({"added_tokens": [{"id": 10**9, "content": "x"}]}, LimitExceeded, "1000000001 tokens"),
]


@pytest.mark.parametrize(("change", "error", "words"), REFUSED)
def test_what_is_not_read_ends_by_its_right_name(change, error, words) -> None:
    with pytest.raises(error, match=words):
        find(small_body() | change)


def test_a_flood_out_of_a_drop_is_a_limit() -> None:
    body = small_body()
    more = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100}
    body["normalizer"]["normalizers"] += [more] * 4
    with pytest.raises(LimitExceeded, match="may write 100000000 characters for one"):
        find(body)
    body["normalizer"]["normalizers"] = [{"type": "NFC"}] * 40
    with pytest.raises(LimitExceeded, match="more than 32"):
        find(body)


def test_two_ids_of_one_piece_and_two_pieces_of_one_id_are_no_tokenizer() -> None:
    raw = json.dumps(small_body())
    with pytest.raises(Refused, match="occurs twice, with different values"):
        find(raw.replace('"an</w>": ', '"an</w>": 7, "an</w>": ', 1).encode())
    with pytest.raises(Unreadable, match="are both token 0"):
        find(raw.replace('"an</w>": ', '"zz": 0, "an</w>": ', 1).encode())


def test_code_of_a_repository_is_not_run_and_other_files_are_not_opened() -> None:
    with pytest.raises(Unsupported, match="code of its own"):
        find(small_body(), tokenizer_config={"auto_map": {"AutoTokenizer": ["x.Y", None]}})
    with pytest.raises(Unsupported, match="fast_tokenizer_files"):
        find(small_body(), tokenizer_config={"fast_tokenizer_files": ["tokenizer.5.0.0.json"]})
    elsewhere = {"tokenizer_file": "../../etc/passwd", "name_or_path": "evil/tokens"}
    assert find(small_body(), tokenizer_config=elsewhere).kind == "clip"
    with pytest.raises(Unsupported, match="none that is read"):
        found({"tokenizer_config.json": b"{}"}, "", small())


def test_a_damaged_file_of_pieces_is_no_tokenizer() -> None:
    with pytest.raises(Unreadable, match="is not read by its library"):
        found({"spiece.model": b"\x0a\x03\x0a\x01\x96"}, SIGLIP, small())


# --- a document -----------------------------------------------------------------------------------------------


def test_a_document_comes_back_as_it_was_written_and_its_digest_is_of_what_it_computes() -> None:
    document = small()
    again = Document.from_bytes(document.as_bytes())
    assert again == document and again.digest == document.digest
    assert replace(document, merges=document.merges[1:]).digest != document.digest


def test_decoding_gives_back_the_text_of_every_string(tmp_path) -> None:
    """Byte for byte, but for what the tokenizer itself does to letters and blanks."""
    body = small_body()
    with_replacement(body)
    (tmp_path / "tokenizer.json").write_text(find(body).document)
    tokenizer = load(tmp_path)
    for text in strings(50):
        assert tokenizer.encode(tokenizer.spelled(tokenizer.encode(text))) == tokenizer.encode(text)
    assert tokenizer.readable(tokenizer.encode("in")[0]) and not tokenizer.readable(150)
