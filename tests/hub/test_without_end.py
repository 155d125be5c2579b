"""Answers that go on for ever, or hold numbers and addresses made to break whoever reads them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hub_files import WEIGHTS, file_of
from waiting import BUSY_SECONDS

from dife_scanner.errors import HubError, HubUnavailable, LimitExceeded
from dife_scanner.hub import Hub, listing
from dife_scanner.hub.deadline import Deadline
from dife_scanner.hub.history import covers, has_room, read_back
from dife_scanner.lab.loopback import Fault, LoopbackHub, faults
from dife_scanner.records import ModelRef, Reach

AddClip = Callable[..., ModelRef]
Connect = Callable[..., Hub]
DIGITS = "9" * 5000
LISTING = r"GET /api/models\?"


def _more_pages(each: Callable[[int], list[dict[str, Any]]], most: int = 10**9) -> Fault:
    """Every page of a tree, up to so many, names a new one."""
    numbers = itertools.count()

    def edit(request: Any, response: Any) -> Any:
        number = next(numbers)
        link = f'<{request.origin}{request.path}?cursor={number}>; rel="next"'
        answer = faults.items("", lambda _: each(number)).edit(request, response)
        return answer.with_headers(Link=link) if number + 1 < most else answer

    return Fault("/tree/", edit, times=None)


def _thousand(number: int) -> list[dict[str, Any]]:
    entry = {"type": "file", "oid": "b" * 40, "size": 1}
    return [entry | {"path": f"{number}/{file}.txt"} for file in range(1000)]


def test_ten_thousand_files_are_listed_page_by_page(
    add_clip: AddClip, lab: LoopbackHub, connect: Connect
) -> None:
    ref = add_clip()
    lab.inject(_more_pages(_thousand, most=10))
    assert len(connect().tree(ref)) == 10_000 and len(lab.requests) == 10
    lab.heal()
    lab.inject(_more_pages(_thousand, most=10))
    with pytest.raises(LimitExceeded, match="more than 4000 files"):
        connect(most_files=4_000).tree(ref)
    assert len(lab.requests) == 15


def test_a_tree_that_goes_on_for_ever_ends_at_a_limit(
    add_clip: AddClip, lab: LoopbackHub, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dife_scanner.hub.client.MAX_TREE_PAGES", 5)
    ref = add_clip()
    lab.inject(_more_pages(lambda _: []))
    with pytest.raises(LimitExceeded, match="more than 5 pages"):
        connect(most_files=100).tree(ref)
    lab.heal()
    entry = {"type": "file", "oid": "b" * 40, "size": 1}
    lab.inject(_more_pages(lambda number: [entry | {"path": f"{number}.txt"}]))
    with pytest.raises(LimitExceeded, match="more than 3 files"):
        connect(most_files=3).tree(ref)


def test_a_page_of_a_tree_that_never_ends_is_given_up(
    add_clip: AddClip, lab: LoopbackHub, connect: Connect
) -> None:
    ref = add_clip()
    lab.inject(faults.drip("/tree/", piece=1, pause=0.02, times=None))
    began = time.monotonic()
    with pytest.raises(HubUnavailable):
        connect(request_seconds=0.1, tries=1).tree(ref)
    assert time.monotonic() - began < BUSY_SECONDS


@pytest.mark.parametrize("size", [-1, True, 2**62, 2**70, 1e300, "5", None, [5]])
def test_a_file_without_a_possible_size_is_left_out(size: object) -> None:
    assert listing.tree([{"type": "file", "path": "a", "oid": "b" * 40, "size": size}]) == []
    lfs = {"oid": "b" * 64, "size": size}
    assert listing.tree([{"type": "file", "path": "a", "oid": "b" * 40, "lfs": lfs}]) == []


@pytest.mark.parametrize(
    "path", ["../a", "/a", "a/../b", "a\\b", "C:/a", "a\nb", "a\x1b[2J", "a\u202eb", "", "a//b", "x" * 2000]
)  # fmt: skip
def test_a_file_with_a_name_that_leads_away_is_left_out(path: str) -> None:
    assert listing.tree([{"type": "file", "path": path, "oid": "b" * 40, "size": 5}]) == []


def test_numbers_of_thousands_of_digits_break_nothing(
    add_clip: AddClip, lab: LoopbackHub, connect: Connect, tmp_path: Any
) -> None:
    ref = add_clip()
    hub = connect(tries=1)
    lab.inject(faults.body("/tree/", f'[{{"size": {DIGITS}}}]'.encode()))
    with pytest.raises(HubUnavailable, match="did not answer with JSON"):
        hub.tree(ref)
    for digits in (DIGITS, "9" * 400):
        limits = {"RateLimit": f'"api";r={digits};t={digits}'}
        limits["RateLimit-Policy"] = f'"fixed window";"api";q={digits};w={digits}'
        lab.inject(faults.headers("/tree/", limits))
        assert hub.tree(ref) and has_room(hub)
        limits["RateLimit"] = f'"api";r=0;t={digits}'
        lab.inject(faults.status("/tree/", 429))
        lab.inject(faults.headers("/tree/", limits | {"Retry-After": digits}))
        with pytest.raises(HubUnavailable, match="limits our rate"):
            hub.tree(ref)
    weights = file_of(hub.info("org/clip"), WEIGHTS)
    ranges = {"Content-Range": f"bytes 0-{DIGITS}/{DIGITS}", "X-Linked-Size": f"-{DIGITS}"}
    lab.inject(faults.headers("/repos/lfs/", ranges))
    assert hub.fetch(ref, weights, tmp_path / "to").stat().st_size == weights.size


def test_an_error_in_json_of_another_shape_is_still_an_error(
    add_clip: AddClip, lab: LoopbackHub, connect: Connect
) -> None:
    ref = add_clip()
    for body in (b"[]", b'{"errors": [7], "error": {"x": []}}', b"7"):
        lab.inject(faults.status("/tree/", 400))
        lab.inject(faults.body("/tree/", body))
        with pytest.raises(HubError):
            connect(tries=1).tree(ref)


def test_reading_goes_on_at_an_address_of_this_hub_only(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub
) -> None:
    add_clip()
    for kept in ("http://evil.example/api/models?cursor=x", f"{lab.endpoint}.evil/api/models?a"):
        pages = list(hub.pages("filter=clip", start=kept))
        assert [len(page.models) for page in pages] == [1]
    assert all("filter=clip" in seen.target for seen in lab.requests)


def test_a_listing_whose_links_never_end_is_read_a_slice_at_a_time(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_clip()
    numbers = itertools.count()

    def edit(request: Any, response: Any) -> Any:
        link = f'<{request.origin}{request.path}?cursor={next(numbers)}>; rel="next"'
        answer = faults.body("", b"[]").edit(request, replace(response, status=200))
        return answer.with_headers(Link=link)

    lab.inject(Fault(LISTING, edit, times=None))
    found = read_back(hub, "filter=clip", Reach(), None, deadline=Deadline(30))
    assert found.reach.pages == 10 == len(lab.requests) and not covers(found.reach, None)
    monkeypatch.setattr("dife_scanner.hub.history.MAX_PAGES", 20)
    found = read_back(hub, "filter=clip", found.reach, None, deadline=Deadline(30))
    assert covers(found.reach, None)


def test_a_link_to_nowhere_keeps_the_page_that_names_it(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub
) -> None:
    add_clip()
    lab.inject(faults.headers(LISTING, {"Link": '<file:///etc/passwd>; rel="next"'}))
    found = read_back(hub, "filter=clip", Reach(), None, deadline=Deadline(30))
    assert len(found.models) == 1 and found.reach == Reach()
    assert isinstance(found.error, HubError)
