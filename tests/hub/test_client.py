"""The client against a hub that follows the Hub's documents, and against one that does not."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hub_files import CONFIG, WEIGHTS, file_of
from waiting import BUSY_SECONDS

from dife_scanner.errors import (
    BadToken,
    ContentMismatch,
    DifeError,
    DiskFull,
    FileNotOnHub,
    HubError,
    HubUnavailable,
    LimitExceeded,
    RepoDisabled,
    RepoGated,
    RepoNotFound,
    RepoPrivate,
    RevisionNotFound,
    UsageError,
)
from dife_scanner.hub import Deadline, Hub
from dife_scanner.hub.status import LONGEST_WAIT
from dife_scanner.lab.loopback import Announced, Fault, LoopbackHub, faults
from dife_scanner.records import HubFile, ModelRef

AddClip = Callable[..., ModelRef]
Connect = Callable[..., Hub]
LISTING = r"GET /api/models\?"
SMALL = r"GET /api/resolve-cache/"
LARGE = r"GET /repos/lfs/"


def _redirect(match: str, location: str) -> Fault:
    def edit(_: Any, response: Any) -> Any:
        return replace(response.with_headers(Location=location), status=302)

    return Fault(match, edit)


# --- looking ----------------------------------------------------------------------------------------------------


def test_what_we_read_is_what_the_hubs_own_client_reads(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub
) -> None:
    for i in range(7):
        add_clip(
            f"org/clip-{i}",
            card={"license": "mit"},
            last_modified=f"2026-10-0{i + 1}T00:00:00.000Z",
        )
    ref = add_clip("org/clip", gated="manual", downloads=3)
    from huggingface_hub import HfApi

    api = HfApi(endpoint=lab.endpoint, token=False)
    theirs = list(
        api.list_models(
            filter="clip", sort="last_modified", expand=["sha", "lastModified", "siblings"]
        )
    )
    ours = [model for page in hub.pages("filter=clip") for model in page.models]
    assert [(model.repo_id, model.sha) for model in ours] == [
        (model.id, model.sha) for model in theirs
    ]
    assert [[f.path for f in m.files] for m in ours] == [
        [s.rfilename for s in m.siblings or ()] for m in theirs
    ]

    model, info = hub.info("org/clip"), api.model_info("org/clip", files_metadata=True)
    assert (model.repo_id, model.sha, model.tags, model.gated) == (
        info.id,
        ref.revision,
        tuple(info.tags or ()),
        True,
    )
    assert {f.path: (f.size, f.sha256, None if f.sha256 else f.git_oid) for f in model.files} == {
        s.rfilename: (s.size, s.lfs.sha256 if s.lfs else None, None if s.lfs else s.blob_id)
        for s in info.siblings or ()
    }


def test_a_listing_is_read_newest_first_until_it_is_too_old(
    add_clip: AddClip, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dife_scanner.hub.query.PAGE_SIZE", 2)
    for i in range(1, 9):
        add_clip(f"org/clip-{i}", last_modified=f"2026-10-0{i}T00:00:00.000Z")
    from datetime import UTC, datetime

    pages = list(hub.pages("filter=clip", datetime(2026, 10, 6, tzinfo=UTC)))
    assert [[model.repo_id[-1] for model in page.models] for page in pages] == [
        ["8", "7"],
        ["6", "5"],
    ]
    assert len(list(hub.pages("filter=clip"))) == 4


def test_a_renamed_repository_is_found_under_its_new_name(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub
) -> None:
    ref = add_clip("org/old")
    lab.rename("org/old", "org/new")
    model = hub.info("org/old", ref.revision)
    assert (model.repo_id, model.sha) == ("org/new", ref.revision)


def test_a_commit_stays_what_it_was_when_the_branch_moves(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub
) -> None:
    ref = add_clip()
    lab.commit("org/clip", {CONFIG: b"{}"})
    model = hub.info("org/clip", ref.revision)
    assert model.sha == ref.revision and hub.info("org/clip").sha != ref.revision
    assert len(hub.read_small(ref, file_of(model, CONFIG), 10_000)) > 2


def test_a_push_between_listing_and_files_does_not_mix_two_commits(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub
) -> None:
    ref = add_clip()
    lab.inject(
        faults.meanwhile(
            r"GET /api/models/org/clip\?", lambda: lab.commit("org/clip", {CONFIG: b"{}"})
        )
    )
    model = hub.info("org/clip")
    assert model.sha == ref.revision
    assert file_of(model, CONFIG).size != 2


# --- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repo_id", "token", "look", "read"),
    [
        ("org/none", None, RepoNotFound, RepoNotFound),
        ("org/private", None, RepoNotFound, RepoNotFound),
        ("org/private", "hf_nothing", RepoNotFound, RepoNotFound),
        ("org/private", "hf_good", None, None),
        ("org/gated", None, None, RepoGated),
        ("org/gated", "hf_nothing", None, RepoGated),
        ("org/gated", "hf_good", None, None),
        ("org/off", None, RepoDisabled, RepoDisabled),
        ("org/clip", "hf_wrong", BadToken, BadToken),
    ],
)
def test_access_errors_are_told_apart(
    repo_id: str, token: str | None, look: type[DifeError] | None, read: type[DifeError] | None,
    add_clip: AddClip, connect: Connect,
) -> None:  # fmt: skip
    model = connect().info(add_clip().repo_id)
    states: dict[str, dict[str, Any]] = {
        "gated": {"gated": "auto"},
        "private": {"private": True},
        "off": {"disabled": True},
    }
    for name, state in states.items():
        add_clip(f"org/{name}", **state)
    hub = connect(token)
    for error, act in (
        (look, lambda: hub.info(repo_id)),
        (read, lambda: _read_config(hub, repo_id, model)),
    ):
        if error is None:
            act()
            continue
        with pytest.raises(error) as caught:
            act()
        assert type(caught.value) is error and caught.value.what


def _read_config(hub: Hub, repo_id: str, model: Any) -> bytes:
    return hub.read_small(ModelRef(repo_id, "main"), file_of(model, CONFIG), 10_000)


def test_missing_revisions_and_files_and_bad_names(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub
) -> None:
    ref = add_clip()
    with pytest.raises(RevisionNotFound):
        hub.info("org/clip", "f" * 40)
    with pytest.raises(FileNotOnHub):
        hub.read_small(ref, HubFile("none.json", 3, git_oid="a" * 40), 10)
    sent = hub.requests
    for name in ("../../etc", "org/clip/more", "org/clip?x=1", ""):
        with pytest.raises(UsageError):
            hub.info(name)
    with pytest.raises(UsageError, match="nonsense=1"):
        list(hub.pages("nonsense=1"))
    assert hub.requests == sent


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, RepoPrivate),
        (451, RepoDisabled),
        (400, HubError),
        (404, RepoNotFound),
        (401, RepoNotFound),
    ],
)
def test_statuses_without_a_code_of_the_hub(
    status: int,
    error: type[DifeError],
    add_clip: AddClip,
    lab: LoopbackHub,
    hub: Hub,
    naps: list[float],
) -> None:
    add_clip()
    lab.inject(faults.status(r"GET /api/models/org/clip", status, "\x1b[31mno"))
    with pytest.raises(error) as caught:
        hub.info("org/clip")
    assert type(caught.value) is error and "\x1b" not in caught.value.what
    assert naps == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_server_errors_are_tried_again_and_then_said(
    status: int, add_clip: AddClip, lab: LoopbackHub, hub: Hub, naps: list[float]
) -> None:
    add_clip()
    lab.inject(faults.status(r"GET /api/models/org/clip\?", status, times=2))
    assert hub.info("org/clip").repo_id == "org/clip"
    assert len(naps) == 2 and 0.5 <= naps[0] <= 1 <= naps[1] <= 2
    lab.inject(faults.status(r"GET /api/models/org/clip\?", status, times=None))
    with pytest.raises(HubUnavailable):
        hub.info("org/clip")


@pytest.mark.parametrize("retry_after", [False, True])
def test_a_rate_limit_is_waited_for_when_short_and_handed_up_when_long(
    retry_after: bool, add_clip: AddClip, lab: LoopbackHub, hub: Hub, naps: list[float]
) -> None:
    add_clip()
    lab.inject(faults.rate_limited(r"GET /api/models/org/clip\?", 7, retry_after=retry_after))
    assert hub.info("org/clip")
    assert naps == [8.0]
    lab.inject(faults.rate_limited(r"GET /api/models/org/clip\?", 290, retry_after=retry_after))
    with pytest.raises(HubUnavailable, match="limits our rate for 291 s") as caught:
        hub.info("org/clip")
    assert caught.value.retry_after == 291.0 and naps == [8.0]
    lab.inject(faults.rate_limited(r"GET /api/models/org/clip\?", 7, retry_after=retry_after))
    with pytest.raises(HubUnavailable):
        hub.info("org/clip", deadline=Deadline(5))
    assert naps == [8.0]


@pytest.mark.parametrize("status", [429, 503])
def test_a_date_to_retry_after_is_honoured_like_seconds(
    status: int, add_clip: AddClip, lab: LoopbackHub, connect: Connect, naps: list[float]
) -> None:
    add_clip()
    match = r"GET /api/models/org/clip\?"

    def asked_to_wait(value: str) -> float | None:
        lab.inject(faults.status(match, status))
        lab.inject(faults.headers(match, {"Retry-After": value}))
        with pytest.raises(HubUnavailable) as caught:
            connect(tries=1).info("org/clip")
        return caught.value.retry_after

    assert 280 <= (asked_to_wait(formatdate(time.time() + 290, usegmt=True)) or 0) <= 292
    assert asked_to_wait(formatdate(time.time() + 10**7, usegmt=True)) == LONGEST_WAIT
    assert asked_to_wait("9" * 30) == LONGEST_WAIT
    for nothing in (formatdate(time.time() - 60, usegmt=True), "soon", "-5", "1e3", "", "Mon"):
        assert asked_to_wait(nothing) is None
    lab.inject(faults.rate_limited(match, 7, as_date=True))
    assert connect().info("org/clip") and 6 < naps[-1] <= 8


def test_the_hubs_word_about_its_limits_is_kept(add_clip: AddClip, hub: Hub) -> None:
    assert hub.rate is None
    hub.info(add_clip().repo_id)
    assert hub.rate and hub.rate.bucket == "api" and hub.rate.quota and hub.rate.window == 300


def test_a_hub_that_is_silent_or_gone(add_clip: AddClip, lab: LoopbackHub, hub: Hub) -> None:
    add_clip()
    lab.inject(faults.hang(r"GET /api/models/org/clip\?"))
    began = time.monotonic()
    assert hub.info("org/clip")  # second try
    assert time.monotonic() - began > 0.4
    lab.inject(faults.drop(r"GET /api/models/org/clip\?", times=None))
    with pytest.raises(HubUnavailable, match="broke"):
        hub.info("org/clip")
    lab.close()
    with pytest.raises(HubUnavailable, match="cannot be reached"):
        hub.info("org/clip")


def test_a_page_of_something_else_is_said_to_be_no_hub(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub
) -> None:
    add_clip()
    for body, error, match in (
        (b"please log in", HubUnavailable, "JSON"),
        (
            b"\xef\xbb\xbf<!doctype HTML><p>please log in",
            HubUnavailable,
            "sent a web page instead of",
        ),
        (b"[" * 100_000, HubUnavailable, "JSON"),
        (b"[]", HubError, "cannot be used"),
        (b'{"id": "../../x"}', HubError, "not a repository id"),
    ):
        lab.inject(faults.body(r"GET /api/models/org/clip\?", body, times=None))
        with pytest.raises(error, match=match):
            hub.info("org/clip")
        lab.heal()
    lab.inject(faults.body(LISTING, b'{"a": 1}'))
    with pytest.raises(HubError, match="other than a list"):
        list(hub.pages("filter=clip"))


def test_answers_without_end_are_cut(
    raw_server: Callable[..., str], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dife_scanner.hub.wire.ANSWER_BYTES", 100_000)

    def endless(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" " * 65536)

    with pytest.raises(LimitExceeded, match="larger than 100000 bytes"):
        connect(endpoint=raw_server(endless)).info("org/clip")


def test_a_packed_answer_is_read_and_a_bomb_is_not(
    raw_server: Callable[..., str], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dife_scanner.hub.wire.ANSWER_BYTES", 1 << 20)

    def packed(encoding: str, body: bytes) -> Callable[[socket.socket], None]:
        def talk(connection: socket.socket) -> None:
            connection.recv(65536)
            head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)

        return talk

    with pytest.raises(HubError, match="not an object"):
        connect(endpoint=raw_server(packed("gzip", gzip.compress(b"[]")))).info("org/clip")
    bomb = gzip.compress(bytes(4 << 20))
    with pytest.raises(LimitExceeded, match="larger than"):
        connect(endpoint=raw_server(packed("gzip", bomb))).info("org/clip")
    for encoding in ("gzip, gzip", "br", "zstd"):
        with pytest.raises(HubUnavailable, match=f"compressed as {encoding}"):
            connect(endpoint=raw_server(packed(encoding, bomb)), tries=1).info("org/clip")
    with pytest.raises(HubUnavailable, match="cannot be unpacked"):
        connect(endpoint=raw_server(packed("gzip", b"[]")), tries=1).info("org/clip")


# --- paging and the token ---------------------------------------------------------------------------------------


def test_the_next_page_is_looked_for_on_this_hub_whatever_host_it_names(
    add_clip: AddClip,
    lab: LoopbackHub,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dife_scanner.hub.query.PAGE_SIZE", 2)
    for i in range(5):
        add_clip(f"org/clip-{i}")
    with LoopbackHub(tmp_path / "other", tokens={"hf_good": []}) as other:
        lab.inject(faults.mirror_links(other.endpoint, times=None))
        pages = list(connect("hf_good").pages("filter=clip"))
        assert [len(page.models) for page in pages] == [2, 2, 1]
        assert not other.requests and all(seen.authorized for seen in lab.seen("cursor="))
        lab.heal()
        lab.inject(faults.link_to(other.endpoint))
        with pytest.raises(HubError, match="Invalid cursor"):
            list(connect("hf_good").pages("filter=clip"))
        assert not other.requests
    for strange in ("file:///etc/passwd", "ftp://127.0.0.1/", "http://["):
        lab.inject(faults.headers(LISTING, {"Link": f'<{strange}>; rel="next"'}))
        with pytest.raises(HubError):
            list(connect("hf_good").pages("filter=clip"))


def test_links_of_a_mirror_below_a_path_stay_below_it(
    raw_server: Callable[..., str], connect: Connect
) -> None:
    asked: list[str] = []
    item = b'[{"id": "org/clip-%d", "sha": "%s", "lastModified": "2026-10-01T00:00:00Z"}]'

    def talk(connection: socket.socket) -> None:
        for number, link in enumerate((b"/api/models?p=1", b"/hub/api/models?p=2", b"")):
            asked.append(connection.recv(65536).split(b" ")[1].decode())
            body = item % (number, b"%x" % (number + 1) * 40)
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body)
            if link:
                head += b'Link: <https://official.example%s>; rel="next"\r\n' % link
            connection.sendall(head + b"\r\n" + body)

    hub = connect(endpoint=f"{raw_server(talk)}/hub")
    assert len(list(hub.pages("filter=clip"))) == 3
    assert asked[0].startswith("/hub/api/models?filter=clip")
    assert asked[1:] == ["/hub/api/models?p=1", "/hub/api/models?p=2"]


def test_a_last_page_that_repeats_what_was_seen_is_the_end(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dife_scanner.hub.query.PAGE_SIZE", 2)
    for i in range(3):
        add_clip(f"org/clip-{i}")
    first = next(hub.pages("filter=clip")).models[0]
    repeated = [{"id": first.repo_id, "sha": first.sha, "lastModified": first.last_modified}]
    lab.inject(faults.items("cursor=", lambda _: repeated))
    assert [len(page.models) for page in hub.pages("filter=clip")] == [2, 1]


def test_paging_in_circles_ends(add_clip: AddClip, lab: LoopbackHub, hub: Hub) -> None:
    add_clip()
    lab.inject(faults.link_loop(times=None))
    with pytest.raises(HubError, match=r"already read|same models twice"):
        list(hub.pages("filter=clip"))
    assert hub.requests <= 3


def test_the_token_goes_to_the_endpoint_only(
    add_clip: AddClip, lab: LoopbackHub, connect: Connect, tmp_path: Path
) -> None:
    ref, hub = add_clip("org/gated", gated="auto"), connect("hf_good")
    hub.fetch(ref, file_of(hub.info("org/gated"), WEIGHTS), tmp_path / "to")
    assert {(seen.port, seen.authorized) for seen in lab.requests} == {
        ("hub", True),
        ("cdn", False),
    }
    assert all("dife-scanner/" in seen.user_agent for seen in lab.requests)


def test_an_api_call_is_not_followed_to_another_host(
    add_clip: AddClip, lab: LoopbackHub, hub: Hub
) -> None:
    add_clip()
    for location, match in ((lab.cdn, "another host"), ("ftp://x/", "not http or https")):
        lab.inject(_redirect(r"GET /api/models/org/clip\?", location))
        with pytest.raises(HubError, match=match):
            hub.info("org/clip")
    lab.inject(
        Fault(
            r"GET /api/models/org/clip(\?|$)",
            _redirect("", "/api/models/org/clip").edit,
            times=None,
        )
    )
    with pytest.raises(HubError, match="more than 5 times"):
        hub.info("org/clip")
    assert not [seen for seen in lab.requests if seen.port == "cdn"]


@pytest.mark.parametrize("status", [200, 401, 403, 404, 407, 451, 503])
def test_a_web_page_says_nothing_about_a_repository(
    status: int, add_clip: AddClip, lab: LoopbackHub, connect: Connect
) -> None:
    ref = add_clip()
    hub = connect(tries=1)
    model = hub.info("org/clip")
    lab.inject(faults.page(r"GET /api/models/org/clip\?", status))
    lab.inject(faults.page(SMALL, status))
    for act in (
        lambda: hub.info("org/clip"),
        lambda: hub.read_small(ref, file_of(model, CONFIG), 10_000),
    ):
        with pytest.raises(HubUnavailable) as caught:
            act()
        assert type(caught.value) is HubUnavailable
        words = f"{'instead of' if status == 200 else status}"
        assert words in caught.value.what and "org/clip" in caught.value.what


def test_words_that_are_not_a_hubs_say_nothing_either(
    raw_server: Callable[..., str], connect: Connect
) -> None:
    def blocked(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nblocked")

    with pytest.raises(HubUnavailable, match="answered 403 with words that are not a hub's"):
        connect(endpoint=raw_server(blocked), tries=1).info("org/clip")


# --- fetching ---------------------------------------------------------------------------------------------------


@pytest.fixture
def big(add_clip: AddClip, hub: Hub) -> tuple[ModelRef, HubFile]:
    ref = add_clip()
    return ref, file_of(hub.info("org/clip"), WEIGHTS)


def _left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_arrives_verified_and_once(
    big: tuple[ModelRef, HubFile], hub: Hub, lab: LoopbackHub, weights: bytes, tmp_path: Path
) -> None:
    heard: list[tuple[int, int]] = []
    path = hub.fetch(*big, tmp_path / "to", lambda done, whole: heard.append((done, whole)))
    assert path == tmp_path / "to" / WEIGHTS and path.read_bytes() == weights
    assert heard[-1] == (len(weights), len(weights)) and heard == sorted(heard) and len(heard) > 3
    assert _left(tmp_path / "to") == [WEIGHTS]
    sent = hub.requests
    assert hub.fetch(*big, tmp_path / "to") == path
    assert hub.requests == sent
    path.write_bytes(b"x" * len(weights))
    hub.fetch(*big, tmp_path / "to")
    assert path.read_bytes() == weights


def test_a_small_file_is_compared_with_its_git_blob_id(
    big: tuple[ModelRef, HubFile], hub: Hub, lab: LoopbackHub, config: bytes
) -> None:
    file = file_of(hub.info("org/clip"), CONFIG)
    assert file.sha256 is None and hub.read_small(big[0], file, 10_000) == config
    lab.inject(faults.corrupt(SMALL))
    with pytest.raises(ContentMismatch, match="hash"):
        hub.read_small(big[0], file, 10_000)
    with pytest.raises(LimitExceeded, match="the limit is 10"):
        hub.read_small(big[0], file, 10)


def _strike(name: str) -> list[Fault]:
    when: dict[str, Any] = {"port": "cdn", "times": None}
    return {
        "corrupt": [faults.corrupt(LARGE, **when)],
        "shorter": [faults.shorten(LARGE, 1000, **when)],
        "longer": [faults.body(LARGE, b"x" * 3_000_000, **when)],
        "other": [faults.body(LARGE, b"x" * 2_097_152, **when)],
    }[name]


@pytest.mark.parametrize("name", ["corrupt", "shorter", "longer", "other"])
def test_other_bytes_than_announced_are_not_kept(
    name: str, big: tuple[ModelRef, HubFile], hub: Hub, lab: LoopbackHub, tmp_path: Path
) -> None:
    for fault in _strike(name):
        lab.inject(fault)
    with pytest.raises(ContentMismatch):
        hub.fetch(*big, tmp_path / "to")
    assert _left(tmp_path / "to") == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_file_that_was_packed_on_its_way_is_unpacked_before_it_is_compared(
    encoding: str,
    big: tuple[ModelRef, HubFile],
    hub: Hub,
    lab: LoopbackHub,
    weights: bytes,
    config: bytes,
    tmp_path: Path,
) -> None:
    lab.inject(faults.packed(SMALL, encoding))
    assert hub.read_small(big[0], file_of(hub.info("org/clip"), CONFIG), 10_000) == config
    # a download that breaks and goes on: the rest would be a range of the packed bytes
    lab.inject(faults.truncate(LARGE, 1_500_000))
    lab.inject(faults.packed(LARGE, encoding, skip=1, times=None))
    assert hub.fetch(*big, tmp_path / "to").read_bytes() == weights


def test_a_packed_bomb_stops_at_the_announced_size(
    big: tuple[ModelRef, HubFile], hub: Hub, lab: LoopbackHub, tmp_path: Path
) -> None:
    heard: list[int] = []
    lab.inject(faults.body(LARGE, bytes(8 << 20), times=None))
    lab.inject(faults.packed(LARGE, times=None))
    with pytest.raises(ContentMismatch, match="longer than the 2097152 bytes"):
        hub.fetch(*big, tmp_path / "to", lambda done, _: heard.append(done))
    assert heard[-1] == big[1].size and _left(tmp_path / "to") == []


def test_a_file_packed_in_a_way_that_is_not_read_is_named(
    big: tuple[ModelRef, HubFile], connect: Connect, lab: LoopbackHub, tmp_path: Path
) -> None:
    hub = connect(tries=1)
    for encoding, words in (("br", "compressed as br"), ("gzip", "cannot be unpacked")):
        edit = faults.headers(LARGE, {"Content-Encoding": encoding})
        lab.inject(edit)
        with pytest.raises(HubUnavailable, match=words):
            hub.fetch(*big, tmp_path / "to")


@pytest.mark.parametrize("ignoring", [False, True])
def test_a_broken_download_goes_on_where_it_stopped(
    ignoring: bool,
    big: tuple[ModelRef, HubFile],
    hub: Hub,
    lab: LoopbackHub,
    weights: bytes,
    tmp_path: Path,
) -> None:
    lab.inject(faults.truncate(LARGE, 1_500_000, port="cdn"))
    if ignoring:
        lab.inject(faults.ignore_range(LARGE, port="cdn", times=None))
    assert hub.fetch(*big, tmp_path / "to").read_bytes() == weights
    ranges = [seen.range for seen in lab.requests if seen.port == "cdn"]
    assert ranges[0] == "" and ranges[1].startswith("bytes=") and len(ranges) == 2


def test_the_next_run_goes_on_where_the_last_one_gave_up(
    big: tuple[ModelRef, HubFile],
    connect: Connect,
    lab: LoopbackHub,
    weights: bytes,
    tmp_path: Path,
) -> None:
    lab.inject(faults.truncate(LARGE, 1_500_000, port="cdn", times=1))
    with pytest.raises(HubUnavailable):
        connect(tries=1).fetch(*big, tmp_path / "to")
    [left] = (tmp_path / "to").iterdir()
    assert left.name.endswith(".part") and 0 < left.stat().st_size < len(weights)
    assert connect().fetch(*big, tmp_path / "to").read_bytes() == weights
    assert lab.requests[-1].range.startswith("bytes=") and _left(tmp_path / "to") == [WEIGHTS]


@pytest.mark.parametrize("torn", [b"nonsense", b"x" * 2_097_152, b"x" * 3_000_000])
def test_a_torn_part_of_an_earlier_run_is_thrown_away(
    torn: bytes, big: tuple[ModelRef, HubFile], hub: Hub, weights: bytes, tmp_path: Path
) -> None:
    (tmp_path / "to").mkdir()
    assert big[1].sha256
    (tmp_path / "to" / f".{WEIGHTS}.{big[1].sha256[:16]}.part").write_bytes(torn)
    assert hub.fetch(*big, tmp_path / "to").read_bytes() == weights


def test_a_dripping_download_ends_at_its_deadline(
    big: tuple[ModelRef, HubFile], connect: Connect, lab: LoopbackHub, tmp_path: Path
) -> None:
    lab.inject(faults.drip(LARGE, piece=1000, pause=0.05, port="cdn", times=None))
    began = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"did not arrive within 0.4 s"):
        connect(download_seconds=0.4).fetch(*big, tmp_path / "to")
    with pytest.raises(LimitExceeded, match=r"did not arrive within 0.3 s"):
        connect().fetch(*big, tmp_path / "to", deadline=Deadline(0.3))
    assert time.monotonic() - began < BUSY_SECONDS


def test_nothing_too_large_or_not_verifiable_is_asked_for(
    lab: LoopbackHub, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = ModelRef("org/huge", lab.add_repo("org/huge", {"big.safetensors": Announced(30 << 40)}))
    file = file_of(hub.info("org/huge"), "big.safetensors")
    sent = hub.requests
    with pytest.raises(LimitExceeded, match="32985348833280 bytes"):
        hub.fetch(ref, file, tmp_path / "to", limit=1 << 30)
    with pytest.raises(DiskFull):
        hub.fetch(ref, file, tmp_path / "to")
    with pytest.raises(HubError, match="no content hash"):
        hub.fetch(ref, HubFile("a", 5), tmp_path / "to")
    with pytest.raises(ValueError, match="leaves its repository"):
        hub.fetch(ref, HubFile("../a", 5, git_oid="a" * 40), tmp_path / "to")
    assert hub.requests == sent


def test_a_disk_that_fills_while_we_write(
    big: tuple[ModelRef, HubFile], hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        roomy = shutil.disk_usage(tmp_path)._replace(free=1 << 40)
        monkeypatch.setattr("shutil.disk_usage", lambda _: roomy)
        with pytest.raises(DiskFull) as caught:
            hub.fetch(*big, disk)
        assert caught.value.advice
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_hostile_etag_names_no_file(
    big: tuple[ModelRef, HubFile], hub: Hub, lab: LoopbackHub, tmp_path: Path
) -> None:
    lab.inject(faults.hostile_etag(times=None))
    before = _left(tmp_path / "lab")
    hub.fetch(*big, tmp_path / "a" / "b")
    assert _left(tmp_path / "a") == [f"b/{WEIGHTS}"] and _left(tmp_path / "lab") == before
    assert not list(tmp_path.rglob("evil"))


def test_an_expired_storage_link_is_asked_for_again(
    big: tuple[ModelRef, HubFile], hub: Hub, lab: LoopbackHub, weights: bytes, tmp_path: Path
) -> None:
    lab.inject(faults.status(LARGE, 403, "Request has expired", port="cdn"))
    assert hub.fetch(*big, tmp_path / "to").read_bytes() == weights
    assert len(lab.seen(r"/resolve/")) == 2


def test_an_empty_file_is_a_file(lab: LoopbackHub, hub: Hub, tmp_path: Path) -> None:
    ref = ModelRef("org/empty", lab.add_repo("org/empty", {"sub/empty.txt": b""}))
    path = hub.fetch(ref, file_of(hub.info("org/empty"), "sub/empty.txt"), tmp_path / "to")
    assert path == tmp_path / "to" / "sub" / "empty.txt" and path.read_bytes() == b""


# --- what huggingface_hub does on its own -----------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Run a few lines in a process that has a home of its own, and give what it printed."""
    home = tmp_path / "user"
    home.mkdir()

    def run(code: str) -> str:
        clean = {
            k: v for k, v in os.environ.items() if not k.startswith("HF_") and k != "XDG_CACHE_HOME"
        }
        env = clean | {
            "HOME": str(home),
            "HF_TOKEN": "hf_from_the_environment",
            "HTTP_PROXY": "http://127.0.0.1:9",
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        return done.stdout

    yield run


def test_nothing_is_written_or_sent_that_nobody_asked_for(
    add_clip: AddClip, lab: LoopbackHub, tmp_path: Path, fresh: Callable[[str], str]
) -> None:
    add_clip()
    printed = fresh(
        "import sys; from pathlib import Path\n"
        "from dife_scanner.hub import Hub, poll\n"
        "assert not {'huggingface_hub', 'torch', 'httpx2'} & set(sys.modules)\n"
        f"hub = Hub({lab.endpoint!r}, cache=Path({str(tmp_path / 'cache')!r}))\n"
        "print(len(poll(hub, known={}, watermarks={}).models), 'torch' in sys.modules, hub.info('org/clip').repo_id)"
    )
    assert printed.split() == ["1", "False", "org/clip"]
    assert not list((tmp_path / "user").rglob("*"))
    assert {seen.target.split("?")[0].split("/tree")[0] for seen in lab.requests} == {
        "/api/models",
        "/api/models/org/clip",
    }
    assert not any(seen.authorized for seen in lab.requests)


def test_two_hubs_in_one_process_keep_their_tokens_apart(
    add_clip: AddClip, lab: LoopbackHub, connect: Connect
) -> None:
    add_clip()
    with_token, without = connect("hf_good"), connect()
    assert (with_token.has_token, without.has_token) == (True, False)
    with_token.info("org/clip")
    without.info("org/clip")
    assert [seen.authorized for seen in lab.requests] == [True, True, False, False]
    assert "hf_good" not in repr(with_token)
