from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dife_scanner.hub import listing
from dife_scanner.hub.listing import MalformedError
from dife_scanner.records import HubFile

ITEM: dict[str, Any] = {
    "id": "org/name",
    "sha": "a" * 40,
    "lastModified": "2026-10-01T00:59:00.000Z",
    "tags": ["clip"],
    "siblings": [
        {"rfilename": "config.json"},
        {"rfilename": "../x"},
        {"rfilename": "/etc/passwd"},
        5,
    ],
    "gated": "manual",
    "downloads": 7,
    "private": False,
}


def test_an_item_becomes_a_record() -> None:
    model = listing.model(ITEM)
    assert (model.repo_id, model.sha, model.gated, model.private, model.downloads) == (
        "org/name", "a" * 40, True, False, 7,
    )  # fmt: skip
    assert model.last_modified == "2026-10-01T00:59:00.000000+00:00"
    assert model.files == (HubFile("config.json"),)


@pytest.mark.parametrize(
    "change",
    [
        {"id": None}, {"id": "../../x"}, {"id": "a/b/c"}, {"id": "org/.."}, {"id": "org/na\nme"}, {"id": "org/näme"},
        {"id": "org/" + "x" * 200}, {"id": ["org/name"]}, {"sha": None}, {"sha": "A" * 40}, {"sha": "../" * 14},
        {"lastModified": None}, {"lastModified": "yesterday"}, {"lastModified": "2026-10-01T00:59:00"},
        {"lastModified": "0001-01-01T00:00:00+23:59"}, {"lastModified": 1e99}, {"createdAt": "never"},
    ],
)  # fmt: skip
def test_a_malformed_item_costs_itself_only(change: dict[str, Any]) -> None:
    page = listing.page([ITEM | change, ITEM])
    assert [model.repo_id for model in page.models] == ["org/name"]
    assert len(page.malformed) == 1


def test_strange_values_beside_the_id_do_no_harm() -> None:
    wild = {
        "tags": ["a\ud800b", 5, None],
        "downloads": -1,
        "author": {"x": 1},
        "siblings": "no",
        "cardData": [1],
    }
    model = listing.model(ITEM | wild)
    assert model.tags == ("a?b",)
    assert (model.downloads, model.author, model.files) == (0, "", ())
    model.tags[0].encode()


def test_the_base_model_of_the_card_is_kept_as_the_tag_the_hub_would_make() -> None:
    assert listing.model(ITEM | {"cardData": {"base_model": ["a/b", 3]}}).tags == (
        "clip",
        "base_model:a/b",
    )


@settings(max_examples=20)
@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.floats(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from([*ITEM, "lfs"]), inner, max_size=5)
            ),
            max_leaves=12,
        )
    )
)
def test_no_json_whatever_raises_anything(items: list[object]) -> None:
    page = listing.page(items)
    assert len(page.models) + len(page.malformed) == len(items)
    listing.tree(items)


@given(st.text() | st.from_regex(r"(\.{1,2}|[a-z]|/|\\|C:){1,8}", fullmatch=True))
def test_an_accepted_path_stays_below_its_folder(text: str) -> None:
    try:
        path = listing.file_path(text)
    except MalformedError:
        return
    assert (
        not path.startswith("/")
        and ".." not in path.split("/")
        and "\\" not in path
        and path.isprintable()
    )


def test_tree_entries_take_the_hash_from_lfs_where_there_is_one() -> None:
    entries = [
        {"type": "directory", "path": "onnx", "oid": "b" * 40, "size": 0},
        {"type": "file", "path": "a.json", "oid": "b" * 40, "size": 5},
        {
            "type": "file",
            "path": "b.bin",
            "oid": "c" * 40,
            "size": 9,
            "lfs": {"oid": "d" * 64, "size": 9},
        },
        {
            "type": "file",
            "path": "c.bin",
            "oid": "c" * 40,
            "size": 9,
            "lfs": {"oid": "../" * 21, "size": 9},
        },
        {"type": "file", "path": "../d", "oid": "b" * 40, "size": 5},
        {"type": "file", "path": "e", "oid": "b" * 40, "size": -5},
        {"type": "file", "path": "f", "oid": "b" * 40, "size": True},
    ]
    assert listing.tree(entries) == [
        HubFile("a.json", 5, git_oid="b" * 40), HubFile("b.bin", 9, sha256="d" * 64),
    ]  # fmt: skip


def test_a_page_out_of_order_is_old_only_when_all_of_it_is() -> None:
    def dated(*days: int) -> listing.Page:
        return listing.page(
            [ITEM | {"lastModified": f"2026-10-{day:02}T00:00:00Z"} for day in days]
        )

    bound = "2026-10-05T00:00:00.000000+00:00"
    assert dated(9, 4).older_than(bound)
    assert not dated(4, 9).older_than(bound)
    assert dated(3, 4).older_than(bound)
    assert not dated().older_than(bound)
