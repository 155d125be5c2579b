"""The loopback hub under the client that the scanner uses."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dife_scanner.errors import UsageError
from dife_scanner.lab.loopback import Announced, LoopbackHub, Quotas, git
from dife_scanner.lab.loopback.access import Access
from dife_scanner.lab.loopback.hostile import safetensors
from dife_scanner.lab.loopback.messages import Request
from dife_scanner.lab.loopback.repositories import Repositories
from dife_scanner.lab.loopback.routes import Routes

WEIGHTS = safetensors({"visual.proj": np.arange(40_000, dtype=np.float32)})
FILES = {
    "README.md": "# A model\n",
    "open_clip_config.json": "{}",
    "open_clip_model.safetensors": WEIGHTS,
}
START = datetime(2026, 10, 1, tzinfo=UTC)


def api(hub: LoopbackHub, token: str | bool = False) -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=hub.endpoint, token=token)


def add_many(hub: LoopbackHub, count: int) -> list[str]:
    """`count` small repositories, one minute apart; ids newest first."""
    for number in range(count):
        modified = START + timedelta(minutes=number)
        hub.add_repo(f"many/n-{number:04}", {"a.txt": "a"}, last_modified=modified, tags=["clip"])
    return [f"many/n-{number:04}" for number in reversed(range(count))]


# --- ids ------------------------------------------------------------------------------------------------------


def test_object_ids_are_those_of_git(tmp_path: Path) -> None:
    """git itself computes the same blob, tree and commit ids, also where a directory sorts after a file `a.b`."""
    files = {"a.b": "1\n", "a/x": "2\n", "a/y/z.txt": "3\n", "a-c": "", "é.txt": "4\n"}
    when = datetime(2026, 10, 1, 12, tzinfo=UTC)
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    person = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in {
            "NAME": "org",
            "EMAIL": "m@org.example",
            "DATE": f"{int(when.timestamp())} +0000",
        }.items()
    }

    def run(*words: str) -> str:
        command = ["git", "-c", "core.autocrlf=false", *words]
        environment = {**os.environ, **person, "GIT_CONFIG_GLOBAL": os.devnull}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    run("init", "-q")
    run("add", ".")
    tree = run("write-tree")
    ours = git.trees({path: git.blob_oid(content.encode()) for path, content in files.items()})
    assert ours[""] == tree
    assert ours["a/y"] == run("rev-parse", f"{tree}:a/y")
    assert git.commit_oid(tree, None, "org <m@org.example>", when, "First") == run(
        "commit-tree", tree, "-m", "First"
    )


def test_large_files_are_hashed_and_served_from_disk(hub: LoopbackHub, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(WEIGHTS)
    hub.add_repo("org/path", {"w.safetensors": tmp_path / "w.safetensors"})
    hub.add_repo("org/bytes", {"w.safetensors": WEIGHTS})
    by_path, by_bytes = (
        hub.repo(name).head.blobs["w.safetensors"] for name in ("org/path", "org/bytes")
    )
    assert by_path == by_bytes
    assert by_path.sha256 is not None
    assert hub.repositories.path(by_path.sha256).read_bytes() == WEIGHTS
    assert by_path.oid == git.blob_oid(git.pointer(by_path.sha256, len(WEIGHTS)))


# --- listing --------------------------------------------------------------------------------------------------


def test_listing_pages_without_gap_or_repetition(hub: LoopbackHub) -> None:
    expected = add_many(hub, 25)
    listed = list(
        api(hub).list_models(sort="last_modified", limit=25, expand=["sha", "lastModified"])
    )
    assert [model.id for model in listed] == expected
    hub.requests.clear()
    response = [model.id for model in api(hub).list_models(sort="last_modified")]
    assert response == expected
    assert len(hub.seen("GET /api/models")) == 1


def test_key_set_cursor_skips_what_changed_meanwhile_and_repeats_nothing(hub: LoopbackHub) -> None:
    """A model that changes while its page is still to come jumps ahead of the cursor: the reason for an overlap."""
    expected = add_many(hub, 9)
    first = get_json(hub, "/api/models?sort=lastModified&limit=3")
    hub.commit(expected[5], {"a.txt": "b"}, last_modified=START + timedelta(days=1))
    rest, link = [], first.link
    while link:
        page = get_json(hub, link)
        rest += page.ids
        link = page.link
    assert first.ids == expected[:3]
    assert rest == [name for name in expected[3:] if name != expected[5]]


def test_equal_sort_values_are_ordered_by_id_across_pages(hub: LoopbackHub) -> None:
    for number in range(10):
        hub.add_repo(f"many/n-{number}", {"a.txt": "a"}, downloads=number % 2)
    found, link = [], "/api/models?sort=downloads&limit=2"
    while link:
        page = get_json(hub, link)
        found += page.body
        link = page.link
    assert [(-item["downloads"], item["_id"]) for item in found] == sorted(
        (-i["downloads"], i["_id"]) for i in found
    )
    assert len({item["id"] for item in found}) == 10


def test_filters_are_joined_by_and(hub: LoopbackHub) -> None:
    hub.add_repo(
        "org/both", {"a": "a"}, tags=["clip", "license:mit"], library="open_clip", gated="auto"
    )
    hub.add_repo(
        "org/one", {"a": "a"}, tags=["clip"], pipeline_tag="zero-shot-image-classification"
    )
    hub.add_repo("other/none", {"a": "a"})

    def ids(**query: Any) -> set[str]:
        return {model.id for model in api(hub).list_models(**query)}

    assert ids() == {"org/both", "org/one", "other/none"}
    assert ids(filter="clip") == {"org/both", "org/one"}
    assert ids(filter=["clip", "license:mit"]) == {"org/both"}
    assert ids(filter=["open_clip"]) == {"org/both"}
    assert ids(author="org", pipeline_tag="zero-shot-image-classification") == {"org/one"}
    assert ids(search="NON") == {"other/none"}
    assert ids(gated=True) == {"org/both"}
    assert ids(gated=False, filter="clip") == {"org/one"}


def test_items_carry_what_was_asked_for(hub: LoopbackHub) -> None:
    from huggingface_hub.errors import BadRequestError

    sha = hub.add_repo("org/clip", FILES, tags=["clip"], card={"license": "mit"})
    plain, full = (next(iter(api(hub).list_models(full=full))) for full in (False, True))
    assert plain.sha is None and plain.last_modified is None and plain.siblings is None
    assert full.sha == sha and [file.rfilename for file in full.siblings] == sorted(FILES)
    expanded = next(iter(api(hub).list_models(expand=["sha", "cardData"])))
    assert expanded.sha == sha and expanded.card_data.license == "mit" and expanded.tags is None
    for wrong in ("nonsense", "usedStorage"):  # the second is for one model only
        with pytest.raises(BadRequestError):
            list(api(hub).list_models(expand=[wrong]))


def test_thousands_of_models_are_cheap(hub: LoopbackHub) -> None:
    """Pages of a thousand, and equal contents are stored once; the benchmark times 10,000."""
    for number in range(2_500):
        hub.repositories.add(f"many/n-{number}", {"a.txt": "a"})
    assert (
        len(
            list(
                api(hub).list_models(
                    expand=["sha", "siblings", "lastModified"], sort="last_modified"
                )
            )
        )
        == 2_500
    )
    assert len(hub.seen("GET /api/models")) == 3
    assert (
        len(list((hub.repositories.root / "objects").rglob("*"))) == 2
    )  # one content, stored once


# --- one repository -------------------------------------------------------------------------------------------


def test_info_tree_and_paths_agree_at_every_revision(hub: LoopbackHub) -> None:
    old = hub.add_repo("org/clip", FILES, last_modified=START)
    new = hub.commit("org/clip", {"README.md": None, "deep/down/x.txt": "x"}, message="Move")
    for revision, sha, paths in [
        (old, old, set(FILES)),
        ("main", new, {*FILES, "deep/down/x.txt"} - {"README.md"}),
    ]:
        info = api(hub).model_info(
            "org/clip", revision=revision, files_metadata=True, securityStatus=True
        )
        assert info.sha == sha
        by_info = {s.rfilename: (s.size, s.blob_id, s.lfs and s.lfs.sha256) for s in info.siblings}
        tree = list(
            api(hub).list_repo_tree("org/clip", revision=revision, recursive=True, expand=True)
        )
        files = [entry for entry in tree if hasattr(entry, "blob_id")]
        assert {f.path: (f.size, f.blob_id, f.lfs and f.lfs.sha256) for f in files} == by_info
        assert set(by_info) == paths
        found = api(hub).get_paths_info("org/clip", [*paths, "no/such"], revision=revision)
        assert {entry.path for entry in found} == paths
    assert info.security_repo_status == {"scansDone": True, "filesWithIssues": []}
    last = {entry.path: entry.last_commit.oid for entry in tree}
    assert last == {path: new if path.startswith("deep") else old for path in last}
    assert [commit.commit_id for commit in api(hub).list_repo_commits("org/clip")] == [new, old]
    assert api(hub).list_repo_refs("org/clip").branches[0].target_commit == new


def test_tree_pages_and_folders(hub: LoopbackHub) -> None:
    hub.add_repo("org/wide", {f"d/{n:03}.txt": "a" for n in range(120)} | {"top.txt": "t"})
    assert len(list(api(hub).list_repo_tree("org/wide", recursive=True, expand=True))) == 122
    assert len(hub.seen("/tree/")) == 3  # 50 a page when expanded
    assert [entry.path for entry in api(hub).list_repo_tree("org/wide")] == ["d", "top.txt"]
    assert len(list(api(hub).list_repo_tree("org/wide", path_in_repo="d"))) == 120


def test_snapshot_has_every_byte_and_verifies(hub: LoopbackHub, tmp_path: Path) -> None:
    sha = hub.add_repo("org/clip", FILES)
    folder = Path(
        api(hub).snapshot_download("org/clip", revision=sha, cache_dir=tmp_path / "cache")
    )
    for path, content in FILES.items():
        assert (folder / path).read_bytes() == (
            content.encode() if isinstance(content, str) else content
        )
    checked = api(hub).verify_repo_checksums("org/clip", revision=sha, cache_dir=tmp_path / "cache")
    assert checked.checked_count == 3 and not checked.mismatches
    assert {request.port for request in hub.seen("safetensors")} == {"hub", "cdn"}


def test_token_does_not_reach_the_second_port(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add_repo("org/clip", FILES)
    api(hub, "hf_all").hf_hub_download(
        "org/clip", "open_clip_model.safetensors", cache_dir=tmp_path / "cache"
    )
    assert {(request.port, request.authorized) for request in hub.requests} == {
        ("hub", True),
        ("cdn", False),
    }


def test_safetensors_headers_by_range(hub: LoopbackHub) -> None:
    index = {"metadata": {"total_size": 4}, "weight_map": {"a": "model-1.safetensors"}}
    one = safetensors({"a": np.zeros(1, np.float32)})
    hub.add_repo(
        "org/clip",
        {**FILES, "model-1.safetensors": one, "model.safetensors.index.json": json.dumps(index)},
    )
    parsed = api(hub).parse_safetensors_file_metadata("org/clip", "open_clip_model.safetensors")
    assert parsed.parameter_count == {"F32": 40_000}
    assert [request.status for request in hub.seen("GET /repos/lfs/")] == [206]
    sharded = api(hub).get_sharded_safetensors_metadata("org/clip")
    assert list(sharded.weight_map) == ["a"]


def test_renamed_repository_redirects(hub: LoopbackHub, tmp_path: Path) -> None:
    sha = hub.add_repo("org/old", FILES)
    hub.rename("org/old", "other/new")
    assert api(hub).model_info("org/old", revision=sha).id == "other/new"
    path = api(hub).hf_hub_download(
        "org/old", "README.md", revision=sha, cache_dir=tmp_path / "cache"
    )
    assert Path(path).read_text() == FILES["README.md"]


def test_restarted_hub_goes_on_where_it_was(tmp_path: Path) -> None:
    with LoopbackHub(tmp_path) as first:
        sha = first.add_repo(
            "org/clip", FILES, tags=["clip"], gated="auto", card={"license": "mit"}
        )
        first.commit("org/clip", {"b.txt": "b"})
        first.add_repo("org/gone", {"a": "a"})
        first.rename("org/gone", "org/here")
        before = first.repositories.all()
    with LoopbackHub(tmp_path) as second:
        assert second.repositories.all() == before
        assert api(second).model_info("org/gone").id == "org/here"
        assert api(second).model_info("org/clip", revision=sha).sha == sha


def test_closed_hub_refuses_and_comes_back_on_its_ports(hub: LoopbackHub) -> None:
    from huggingface_hub.utils import httpx

    hub.add_repo("org/clip", {"a": "a"})
    endpoint = hub.endpoint
    assert (
        api(hub).model_info("org/clip").id == "org/clip"
    )  # leaves a connection open in the client's pool
    hub.close()
    with pytest.raises(httpx.TransportError):
        api(hub).model_info("org/clip")
    hub.start()
    assert hub.endpoint == endpoint
    with pytest.raises(OSError, match="in use"):
        LoopbackHub(hub.repositories.root, port=int(endpoint.rpartition(":")[2])).start()
    assert api(hub).model_info("org/clip").id == "org/clip"


@pytest.mark.parametrize(
    "name", ["../evil", "org/../evil", "noslash", "org/a/b", "org/.hidden", "/abs/path", "org/"]
)
def test_ids_that_leave_the_folder_are_refused(hub: LoopbackHub, name: str) -> None:
    with pytest.raises(UsageError):
        hub.add_repo(name, {"a": "a"})


# --- access and errors ----------------------------------------------------------------------------------------


def info(name: str, **query: Any) -> Callable[[Any, Path], object]:
    return lambda client, cache: client.model_info(name, **query)


def download(name: str, path: str = "a.safetensors", **query: Any) -> Callable[[Any, Path], object]:
    return lambda client, cache: client.hf_hub_download(name, path, cache_dir=cache, **query)


@pytest.mark.parametrize(
    ("token", "call", "error", "status"),
    [
        (False, info("org/gated"), None, 200),
        (False, download("org/gated"), "GatedRepoError", 401),
        ("hf_none", download("org/gated"), "GatedRepoError", 403),
        ("hf_all", download("org/gated"), None, 200),
        (False, info("org/private"), "RepositoryNotFoundError", 401),
        ("hf_none", info("org/private"), "RepositoryNotFoundError", 404),
        ("hf_all", info("org/private"), None, 200),
        (False, info("no/such"), "RepositoryNotFoundError", 401),
        ("hf_all", info("no/such"), "RepositoryNotFoundError", 404),
        ("hf_wrong", info("org/open"), "HfHubHTTPError", 401),
        (False, info("org/disabled"), "DisabledRepoError", 403),
        (False, info("org/open", revision="f" * 40), "RevisionNotFoundError", 404),
        (False, download("org/open", revision="nope"), "RevisionNotFoundError", 404),
        (False, download("org/open", "nope.txt"), "RemoteEntryNotFoundError", 404),
        (False, download("org/open", "big.safetensors"), "RemoteEntryNotFoundError", 404),
    ],
)
def test_access_and_absence_are_told_as_the_hub_does(
    hub: LoopbackHub,
    tmp_path: Path,
    token: str | bool,
    call: Callable[[Any, Path], object],
    error: str | None,
    status: int,
) -> None:
    for name, fields in {
        "open": {},
        "gated": {"gated": "manual"},
        "private": {"private": True},
        "disabled": {"disabled": True},
    }.items():
        hub.add_repo(
            f"org/{name}",
            {"a.safetensors": b"abc", "big.safetensors": Announced(1 << 40)},
            **fields,
        )
    if error is None:
        call(api(hub, token), tmp_path / "cache")
        return
    with pytest.raises(Exception) as caught:
        call(api(hub, token), tmp_path / "cache")
    assert type(caught.value).__name__ == error
    assert caught.value.response.status_code == status  # type: ignore[attr-defined]


def test_private_repositories_are_listed_only_for_those_who_see_them(hub: LoopbackHub) -> None:
    hub.add_repo("org/private", {"a": "a"}, private=True)
    assert not list(api(hub).list_models())
    assert [model.id for model in api(hub, "hf_all").list_models()] == ["org/private"]


def test_change_of_access_does_not_move_last_modified(hub: LoopbackHub) -> None:
    hub.add_repo("org/clip", {"a": "a"}, last_modified=START)
    hub.change("org/clip", gated="manual")
    model = api(hub).model_info("org/clip")
    assert model.gated == "manual" and model.last_modified == START


def test_quota_runs_out_and_says_when_it_comes_back(tmp_path: Path) -> None:
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils._http import parse_ratelimit_headers

    with LoopbackHub(tmp_path, quotas=Quotas(api=2, window_seconds=100)) as hub:
        hub.add_repo("org/clip", {"a": "a"})
        for left in (1, 0):
            response = get_json(hub, "/api/models/org/clip")
            assert response.headers["RateLimit"].startswith(f'"api";r={left};t=')
        with pytest.raises(HfHubHTTPError) as caught:
            api(hub).model_info("org/clip")
        limit = parse_ratelimit_headers(caught.value.response.headers)
        assert caught.value.response.status_code == 429
        assert limit is not None and limit.remaining == 0 and 0 < limit.reset_in_seconds <= 100
        hub.heal()
        assert api(hub).model_info("org/clip").id == "org/clip"


PARTS = st.sampled_from(
    [
        "api",
        "models",
        "org",
        "clip",
        "main",
        "revision",
        "tree",
        "commits",
        "resolve",
        "resolve-cache",
        "raw",
        "refs",
        "scan",
        "paths-info",
        "safetensors-metadata",
        "auth-check",
        "README.md",
        "..",
        "%2F",
        "%00",
        "%FF",
        "",
        "repos",
        "lfs",
    ]
)
NAMES = st.sampled_from(
    ["sort", "direction", "limit", "cursor", "p", "expand", "filter", "recursive", "gated", "blobs"]
)
VALUES = st.sampled_from(
    ["true", "", "-1", "0", "9" * 30, "e30=", "eyIkb3IiOltdfQ==", "lastModified", "\x00", "%"]
)


@given(
    st.lists(PARTS, max_size=9),
    st.dictionaries(NAMES, VALUES),
    st.sampled_from(["GET", "POST"]),
    st.binary(max_size=20),
)
@settings(max_examples=300)
def test_no_request_breaks_a_route(
    shelf: Repositories, parts: list[str], query: dict[str, str], method: str, body: bytes
) -> None:
    """Whatever is asked, there is an answer, and it has an error text where it is none."""
    path = "/" + "/".join(parts)
    values = {name: (value,) for name, value in query.items()}
    response = Routes(shelf, Access({})).answer(
        Request(method, path, values, {}, body, target=path)
    )
    assert response.status in (200, 302, 307, 400, 401, 403, 404)
    assert response.status < 400 or json.loads(response.body.data)["error"]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Repositories:
    kept = Repositories(tmp_path_factory.mktemp("shelf"))
    kept.add("org/clip", FILES)
    return kept


def test_hostile_revision_does_not_split_headers(hub: LoopbackHub) -> None:
    import urllib.error

    hub.add_repo("org/clip", {"a": "a"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        get_json(hub, "/api/models/org/clip/revision/x%0D%0ASet-Cookie:%20a=b%E2%82%AC")
    assert caught.value.code == 404 and caught.value.headers["Set-Cookie"] is None
    assert caught.value.headers["X-Error-Message"] == "Invalid rev id: x??Set-Cookie: a=b?"


def test_tags_and_raw_pointers_are_git_s(hub: LoopbackHub) -> None:
    import urllib.request

    sha = hub.add_repo("org/clip", FILES)
    hub.commit("org/clip", {"README.md": "new\n"})
    hub.change("org/clip", git_tags={"v1": sha})
    assert api(hub).model_info("org/clip", revision="v1").sha == sha
    assert [(tag.name, tag.target_commit) for tag in api(hub).list_repo_refs("org/clip").tags] == [
        ("v1", sha)
    ]
    with urllib.request.urlopen(
        f"{hub.endpoint}/org/clip/raw/v1/open_clip_model.safetensors", timeout=20
    ) as response:
        raw = response.read()
    blob = hub.repo("org/clip").head.blobs["open_clip_model.safetensors"]
    assert raw.startswith(b"version https://git-lfs") and git.blob_oid(raw) == blob.oid


def test_a_folder_is_served_by_a_process_of_its_own(tmp_path: Path) -> None:
    import sys

    LoopbackHub(tmp_path).add_repo("org/clip", FILES)
    command = [sys.executable, "-m", "dife_scanner.lab.loopback", str(tmp_path), "--token", "hf_x"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        found = [json.loads(get(endpoint + "/api/models", token)) for token in ("hf_x", "")]
        process.terminate()
        assert process.wait(10) == 0
    assert [[item["id"] for item in items] for items in found] == [["org/clip"], ["org/clip"]]


def get(url: str, token: str) -> bytes:
    import urllib.request

    request = urllib.request.Request(
        url, headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        return bytes(response.read())


# --- plain HTTP -----------------------------------------------------------------------------------------------


class Page:
    """One JSON answer, read with the standard library."""

    def __init__(self, body: Any, headers: dict[str, str]) -> None:
        self.body, self.headers = body, headers
        link = headers.get("Link", "")
        self.link = link.partition("<")[2].partition(">")[0]

    @property
    def ids(self) -> list[str]:
        return [item["id"] for item in self.body]


def get_json(hub: LoopbackHub, target: str) -> Page:
    import urllib.request

    url = target if target.startswith("http") else hub.endpoint + target
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as response:
        return Page(json.loads(response.read()), dict(response.headers))
