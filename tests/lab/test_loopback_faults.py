"""Every fault does what its docstring says, seen by the standard library's client and partly by the real one."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dife_scanner.lab.loopback import Fault, LoopbackHub, faults, hostile

SMALL = "A model\n" * 100
LARGE = bytes(range(256)) * 4096


@pytest.fixture
def full(hub: LoopbackHub) -> LoopbackHub:
    hub.add_repo("org/clip", {"README.md": SMALL, "model.safetensors": LARGE})
    return hub


def get(
    hub: LoopbackHub, target: str, timeout: float = 10.0, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """GET with redirects followed by hand; the whole body or `http.client`'s own error."""
    parts = urlsplit(target if target.startswith("http") else hub.endpoint + target)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=timeout)
    try:
        connection.request(
            "GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=headers
        )
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status in (302, 307):
        return get(hub, str(response.getheader("Location")), timeout, **headers)
    return response, body


CLIP = "/api/models/org/clip"
FILE = "/org/clip/resolve/main/README.md"
WEIGHTS = "/org/clip/resolve/main/model.safetensors"


@contextmanager
def struck(hub: LoopbackHub, fault: Fault) -> Iterator[None]:
    """With the fault inside, and whole again outside."""
    hub.inject(fault)
    yield
    hub.heal()
    assert get(hub, FILE)[1] == SMALL.encode()
    assert get(hub, WEIGHTS)[1] == LARGE


def test_hang_ends_when_the_client_gives_up_or_the_hub_closes(full: LoopbackHub) -> None:
    with struck(full, faults.hang(CLIP, times=None)), pytest.raises(TimeoutError):
        get(full, CLIP, timeout=0.2)
    full.inject(faults.hang(CLIP, seconds=0.2))
    started = time.monotonic()
    assert get(full, CLIP)[0].status == 200
    assert time.monotonic() - started >= 0.2
    full.inject(faults.hang(CLIP))
    ended: list[Exception] = []

    def wait() -> None:
        try:
            get(full, CLIP, timeout=30)
        except (http.client.HTTPException, OSError) as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while len(full.seen(CLIP)) < 3:
        time.sleep(0.01)
    full.close()
    thread.join(5)
    assert len(ended) == 1


def test_drip_never_times_out_a_single_read(full: LoopbackHub) -> None:
    with struck(full, faults.drip("resolve-cache", piece=200, pause=0.05)):
        started = time.monotonic()
        assert get(full, FILE, timeout=0.5)[1] == SMALL.encode()
        assert time.monotonic() - started >= 0.05 * (len(SMALL) // 200 - 1)


def test_drop_ends_before_the_status_line(full: LoopbackHub) -> None:
    with struck(full, faults.drop(CLIP)), pytest.raises(http.client.RemoteDisconnected):
        get(full, CLIP)


def test_truncated_body_ends_early_under_its_full_length(full: LoopbackHub) -> None:
    with struck(full, faults.truncate("/repos/lfs/", after=300_000, port="cdn")):
        with pytest.raises(http.client.IncompleteRead) as caught:
            get(full, WEIGHTS)
        assert caught.value.partial == LARGE[:300_000]


def test_corrupt_body_differs_in_one_byte_and_the_real_client_takes_it(
    full: LoopbackHub, tmp_path: Path
) -> None:
    """Why the scanner hashes what it fetched."""
    from huggingface_hub import HfApi

    with struck(full, faults.corrupt("/repos/lfs/", offset=1000, times=2)):
        body = get(full, WEIGHTS)[1]
        assert [n for n in range(len(LARGE)) if body[n] != LARGE[n]] == [1000]
        client = HfApi(endpoint=full.endpoint, token=False)
        path = client.hf_hub_download("org/clip", "model.safetensors", cache_dir=tmp_path)
        assert Path(path).stat().st_size == len(LARGE) and Path(path).read_bytes() != LARGE
        assert client.verify_repo_checksums("org/clip", cache_dir=tmp_path).mismatches


def test_shortened_body_is_announced_as_whole(full: LoopbackHub) -> None:
    with struck(full, faults.shorten("/repos/lfs/", 1000)):
        assert get(full, WEIGHTS)[1] == LARGE[:1000]


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=0-99", 206, (0, 100)),
        ("bytes=100-", 206, (100, len(LARGE))),
        ("bytes=-5", 206, (len(LARGE) - 5, len(LARGE))),
        ("bytes=10-99999999", 206, (10, len(LARGE))),
        ("bytes=99999999-", 416, None),
        ("lines=1-2", 200, (0, len(LARGE))),
    ],
)
def test_ranges_and_their_neglect(
    full: LoopbackHub, asked: str, status: int, span: tuple[int, int] | None
) -> None:
    response, body = get(full, WEIGHTS, Range=asked)
    assert response.status == status
    if span is None:
        assert response.getheader("Content-Range") == f"bytes */{len(LARGE)}"
        return
    assert body == LARGE[slice(*span)]
    if status == 206:
        assert response.getheader("Content-Range") == f"bytes {span[0]}-{span[1] - 1}/{len(LARGE)}"
        with struck(full, faults.ignore_range("/repos/lfs/", times=None)):
            response, body = get(full, WEIGHTS, Range=asked)
            assert (response.status, response.getheader("Content-Range"), body) == (
                200,
                None,
                LARGE,
            )


@pytest.mark.parametrize("code", [408, 451, 500, 502, 503, 504])
def test_error_statuses(full: LoopbackHub, code: int) -> None:
    with struck(full, faults.status(CLIP, code)):
        response, _ = get(full, CLIP)
        assert response.status == code and response.getheader("X-Error-Code") is None
        assert get(full, CLIP)[0].status == 200  # it struck once


def test_both_ways_of_saying_slow_down(full: LoopbackHub) -> None:
    with struck(full, faults.rate_limited(CLIP, 7)):
        response, _ = get(full, CLIP)
        assert (response.status, response.getheader("RateLimit")) == (429, '"api";r=0;t=7')
    with struck(full, faults.rate_limited(CLIP, 7, retry_after=True)):
        response, _ = get(full, CLIP)
        assert (response.status, response.getheader("Retry-After")) == (429, "7")


def test_skip_and_times_choose_which_request_is_struck(full: LoopbackHub) -> None:
    full.inject(faults.status(CLIP, 503, skip=1, times=2))
    assert [get(full, CLIP)[0].status for _ in range(4)] == [200, 503, 503, 200]


def test_push_between_listing_and_download(full: LoopbackHub) -> None:
    """The pinned sha still answers with what it had."""
    old = full.repo("org/clip").head.sha
    full.inject(
        faults.meanwhile(faults.LISTING, lambda: full.commit("org/clip", {"README.md": "new\n"}))
    )
    listed = json.loads(get(full, "/api/models?expand=sha")[1])
    assert listed[0]["sha"] == old != full.repo("org/clip").head.sha
    assert get(full, f"/org/clip/resolve/{old}/README.md")[1] == SMALL.encode()
    assert get(full, FILE)[1] == b"new\n"


def test_one_malformed_item_kills_the_real_clients_listing(full: LoopbackHub) -> None:
    """Why the scanner reads pages item by item."""
    from huggingface_hub import HfApi

    with struck(full, faults.malformed_items(times=None)):
        items = json.loads(get(full, "/api/models?sort=lastModified")[1])
        assert items[-1]["id"] == "org/clip" and len(items) == 6
        with pytest.raises(KeyError):
            list(HfApi(endpoint=full.endpoint, token=False).list_models())


def test_links_that_lead_astray(full: LoopbackHub, tmp_path: Path) -> None:
    with LoopbackHub(tmp_path / "other") as other, struck(full, faults.link_to(other.endpoint)):
        link = str(get(full, "/api/models?limit=5")[0].getheader("Link"))
        assert link.startswith(f"<{other.endpoint}/")
    with struck(full, faults.link_loop()):
        link = str(get(full, "/api/models?limit=5")[0].getheader("Link"))
        assert link == f'<{full.endpoint}/api/models?limit=5>; rel="next"'


def test_hostile_etag_leaves_the_real_clients_cache(full: LoopbackHub, tmp_path: Path) -> None:
    """Why the scanner does not let that client choose file names from a server's headers."""
    from huggingface_hub import HfApi

    full.inject(faults.hostile_etag("HEAD /org/clip/resolve/", '"../../../evil"', times=None))
    cache = tmp_path / "a" / "b" / "cache"
    HfApi(endpoint=full.endpoint, token=False).hf_hub_download(
        "org/clip", "model.safetensors", cache_dir=cache
    )
    written = [
        path
        for path in tmp_path.rglob("evil*")
        if not path.is_relative_to(cache / "models--org--clip")
    ]
    assert written


def test_other_bytes_under_the_same_status(full: LoopbackHub) -> None:
    with struck(full, faults.body(CLIP, b"<html>Please log in</html>")):
        response, body = get(full, CLIP)
        assert response.status == 200 and body.startswith(b"<html>")


def header_of(data: bytes) -> Any:
    return json.loads(
        data[8 : 8 + int.from_bytes(data[:8], "little")], object_pairs_hook=lambda pairs: pairs
    )


@pytest.mark.parametrize(
    ("make", "is_hostile"),
    [
        (hostile.huge_header_length, lambda data: int.from_bytes(data[:8], "little") == 2**63),
        (
            hostile.duplicate_key,
            lambda data: len({name for name, _ in header_of(data)}) < len(header_of(data)),
        ),
        (hostile.huge_card, lambda data: len(data) > 8 << 20 and data.startswith(b"---\n")),
        (hostile.binary_card, lambda data: b"\0" in data and b"\x1b[2J" in data),
        (hostile.config_naming_another_repository, lambda data: b"evil/other" in data),
        (
            hostile.config_with_a_million_layers,
            lambda data: json.loads(data)["model_cfg"]["text_cfg"]["layers"] == 10**6,
        ),
    ],
)
def test_hostile_files_are_what_they_claim_and_are_served(
    hub: LoopbackHub, make: Callable[[], bytes], is_hostile: Callable[[bytes], bool]
) -> None:
    data = make()
    assert is_hostile(data)
    hub.add_repo("evil/clip", {"file.safetensors": data, "file.txt": data})
    for name in ("file.safetensors", "file.txt"):
        assert get(hub, f"/evil/clip/resolve/main/{name}")[1] == data


def test_nobody_reads_a_large_file_without_its_signature(full: LoopbackHub) -> None:
    object_id = full.repo("org/clip").head.blobs["model.safetensors"].sha256
    assert get(full, f"{full.cdn}/repos/lfs/{object_id}")[0].status == 403
    assert get(full, f"{full.cdn}/repos/lfs/../../../etc/passwd?Signature=x")[0].status == 403
