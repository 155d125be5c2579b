"""Talking to a hub: list, look, fetch. The only user of huggingface_hub.

Its session, headers, addresses and error codes are used as they are. Its generators and downloads are not: they
wait without limit, stop at the first malformed item, send the token wherever a `Link` points and keep whatever
bytes arrive. Here every request has a timeout and a wall-clock deadline, every answer a size limit, the token goes
to the endpoint only, and a file counts as fetched when its content hash is the one the hub announced.
"""

from __future__ import annotations

import functools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from dife_scanner.core.plain import plain
from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import ContentMismatch, HubError, HubUnavailable, LimitExceeded, UsageError
from dife_scanner.hub import listing
from dife_scanner.hub.deadline import Deadline, guard
from dife_scanner.hub.listing import MalformedError, Page
from dife_scanner.hub.part import DiskPart, Part, check_room, matches
from dife_scanner.hub.wire import CHUNK, RangeRefused, RateLimit, Wire
from dife_scanner.records import HubFile, HubModel, ModelRef

Progress = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""

EXPAND = (
    "sha",
    "lastModified",
    "createdAt",
    "author",
    "tags",
    "siblings",
    "gated",
    "disabled",
    "private",
    "library_name",
    "pipeline_tag",
    "cardData",
    "downloads",
)
PAGE_SIZE = 500
MAX_PAGES = 5_000
MAX_TREE_PAGES = 200

_SOURCE_KEYS = frozenset({"filter", "search", "author", "pipeline_tag"})
_DEFAULT_TIMEOUT = 20.0
_LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")
_DAMAGED = "the file was damaged or replaced on its way; nothing of it was kept"


def prepare(cache: Path) -> None:
    """Set what huggingface_hub reads when it is imported: no Xet, no telemetry, nothing written outside `cache`."""
    os.environ["HF_HOME"] = str(cache)
    for name in ("DISABLE_XET", "DISABLE_TELEMETRY", "DISABLE_PROGRESS_BARS", "DISABLE_IMPLICIT_TOKEN"):
        os.environ[f"HF_HUB_{name}"] = "1"


def _tools() -> Any:
    from huggingface_hub import utils

    return utils


_lock = threading.Lock()
_installed = False


def _session() -> Any:
    """huggingface_hub's shared session, guarded: its own calls cannot hang either, should anything make one."""
    global _installed
    with _lock:
        if not _installed:
            _tools().set_client_factory(_guarded_client)
            _installed = True
    return _tools().get_session()


def _guarded_client() -> Any:
    httpx = _tools().httpx
    hooks = {"request": [functools.partial(_never_without_timeout, httpx)]}
    direct = dict.fromkeys(_LOOPBACK)  # a proxy from the environment cannot reach our own machine
    return guard(httpx.Client(event_hooks=hooks, follow_redirects=True, timeout=_DEFAULT_TIMEOUT, mounts=direct))


def _never_without_timeout(httpx: Any, request: Any) -> None:
    if (request.extensions.get("timeout") or {}).get("read") is None:
        request.extensions["timeout"] = httpx.Timeout(_DEFAULT_TIMEOUT).as_dict()


class Hub:
    """One hub, asked politely and not believed.

    `request_seconds` bounds each wait for the network, three times that each complete small answer, and
    `download_seconds` each file. Transient errors are tried `tries` times in all; a wait the hub asks for is honoured
    up to `patience_seconds`, beyond that `HubUnavailable` carries it. `pause` sleeps (a watcher may pass `Event.wait`).
    With `repo_type` `dataset` it looks at and fetches data sets; `pages` lists models either way.
    """

    def __init__(
        self,
        endpoint: str,
        token: str | None = None,
        *,
        cache: Path,
        request_seconds: float = 20.0,
        download_seconds: float = 6 * 3600.0,
        patience_seconds: float = 60.0,
        tries: int = 3,
        pause: Callable[[float], object] = time.sleep,
        repo_type: Literal["model", "dataset"] = "model",
    ) -> None:
        prepare(cache)
        self.repo_type = repo_type
        self.endpoint = endpoint.rstrip("/")
        self.has_token = bool(token)
        self._small_seconds = 3 * request_seconds
        self._download_seconds = download_seconds
        self._wire = Wire(
            self.endpoint,
            token,
            _session,
            _tools(),
            request_seconds=request_seconds,
            patience_seconds=patience_seconds,
            tries=tries,
            pause=pause,
        )

    @property
    def requests(self) -> int:
        """Sent so far, redirects and retries included."""
        return self._wire.requests

    @property
    def answers(self) -> int:
        """Requests that were answered at all, with whatever status."""
        return self._wire.answers

    @property
    def rate(self) -> RateLimit | None:
        return self._wire.rate

    # --- looking ------------------------------------------------------------------------------------------------

    def pages(self, source: str, since: datetime | None = None, *, deadline: Deadline | None = None) -> Iterator[Page]:
        """Models of one source, newest change first, until they are older than `since` (with a time zone).

        `source` is `key=value` of the hub's own search, several joined by `&`. Raises `HubUnavailable`, `BadToken`,
        and `HubError` where the hub's paging leads to another host or in circles.
        """
        params = [*parse_source(source), ("sort", "lastModified"), ("limit", str(PAGE_SIZE))]
        params += [("expand", name) for name in EXPAND]
        what = f"the listing {source!r}"
        bound = listing.utc(since) if since else ""
        url, seen = f"{self.endpoint}/api/models", set[str]()
        for items in self._wire.paged(url, params, what, deadline or Deadline(), most=MAX_PAGES):
            page = listing.page(items)
            ids = {model.repo_id for model in page.models}
            if ids and ids <= seen:
                raise HubError(f"{self.endpoint} repeats itself in {what}")
            seen |= ids
            yield page
            if page.older_than(bound):
                return

    def info(self, repo_id: str, revision: str | None = None, *, deadline: Deadline | None = None) -> HubModel:
        """The repository at `revision` (default: the main branch), with size and hash of every file at that commit."""
        deadline = deadline or Deadline()
        name = _checked_id(repo_id)
        at = f"/revision/{quote(revision, safe='')}" if revision else ""
        what = f"{self.repo_type} {name}" + (f" at {plain(revision, 80)}" if revision else "")
        raw, _, _ = self._wire.json(f"{self.endpoint}/api/{self.repo_type}s/{name}{at}", None, what, deadline)
        try:
            model = listing.model(raw)
        except MalformedError as error:
            raise HubError(f"{self.endpoint} describes {what} in a way that cannot be used: {error}") from error
        if revision and listing.is_sha(revision) and model.sha != revision:
            raise HubError(f"{self.endpoint} answered for commit {model.sha} when asked for {what}")
        return replace(model, files=self.tree(ModelRef(model.repo_id, model.sha), deadline=deadline))

    def tree(self, ref: ModelRef, *, deadline: Deadline | None = None) -> tuple[HubFile, ...]:
        """Every file of one commit with size and content hash; entries with unusable names are left out."""
        repo = f"{self.repo_type}s/{_checked_id(ref.repo_id)}"
        url = f"{self.endpoint}/api/{repo}/tree/{quote(ref.revision, safe='')}"
        params = [("recursive", "true"), ("expand", "false")]
        files: dict[str, HubFile] = {}
        what = f"the files of {ref}"
        for entries in self._wire.paged(url, params, what, deadline or Deadline(), most=MAX_TREE_PAGES):
            files = {found.path: found for found in listing.tree(entries)} | files
            if len(files) > listing.MAX_FILES:
                raise LimitExceeded(f"{ref} holds more than {listing.MAX_FILES} files")
        return tuple(files[path] for path in sorted(files))

    # --- fetching -----------------------------------------------------------------------------------------------

    def read_small(self, ref: ModelRef, file: HubFile, limit: int, *, deadline: Deadline | None = None) -> bytes:
        """A small file's verified bytes, in memory. `LimitExceeded` above `limit` bytes."""
        _check_announced(ref, file, limit)
        part = Part(file)
        self._fill(part, ref, None, deadline or Deadline(), each=self._small_seconds)
        return part.data

    def fetch(
        self,
        ref: ModelRef,
        file: HubFile,
        dest: Path,
        progress: Progress | None = None,
        *,
        limit: int | None = None,
        deadline: Deadline | None = None,
    ) -> Path:
        """Bring `file` of that commit to `dest / file.path`: resumed where a former try stopped, verified, renamed.

        A file that is already there and verifies costs no request. Raises `ContentMismatch` for other bytes than
        announced, `LimitExceeded` above `limit` bytes or past the deadline, `DiskFull`, and the access errors.
        """
        _check_announced(ref, file, limit)
        deadline = (deadline or Deadline()).sooner(self._download_seconds)
        target = dest.joinpath(*listing.file_path(file.path).split("/"))
        with disk_errors(dest):
            target.parent.mkdir(parents=True, exist_ok=True)
            if matches(target, file):
                return target
            announced = file.sha256 or file.git_oid or ""
            with DiskPart(file, target.with_name(f".{target.name[:100]}.{announced[:16]}.part")) as part:
                check_room(dest, (file.size or 0) - part.size)
                self._fill_or_discard(part, ref, progress, deadline)
                part.keep_as(target)
        crash_point("hub.renamed")
        return target

    def _fill_or_discard(self, part: DiskPart, ref: ModelRef, progress: Progress | None, deadline: Deadline) -> None:
        resumed = part.size > 0
        try:
            self._fill(part, ref, progress, deadline)
        except ContentMismatch:
            if not resumed:
                part.discard()
                raise
            part.restart()  # what an earlier run left may have been torn
            self._fill_or_discard(part, ref, progress, deadline)

    def _fill(
        self, part: Part, ref: ModelRef, progress: Progress | None, deadline: Deadline, each: float = math.inf
    ) -> None:
        """Stream into `part` until it holds the announced bytes, and check that it does; `each` try in seconds."""
        from huggingface_hub import hf_hub_url

        file = part.file
        url = hf_hub_url(
            _checked_id(ref.repo_id),
            file.path,
            repo_type=self.repo_type,
            revision=ref.revision,
            endpoint=self.endpoint,
        )
        what = f"{file.path!r} of {ref}"

        def attempt() -> None:
            if part.size == 0 or part.size != file.size:
                self._stream_into(part, url, what, progress, deadline.sooner(each))

        try:
            self._wire.retrying(attempt, deadline, lambda: part.size)
        except HubUnavailable as error:
            if deadline.passed:
                raise LimitExceeded(f"{what} did not arrive within {deadline.seconds:g} s") from error
            raise
        found, announced = part.digest, file.sha256 or file.git_oid
        if found != announced:
            raise ContentMismatch(f"{what} arrived with the hash {found}, the hub announced {announced}", _DAMAGED)

    def _stream_into(self, part: Part, url: str, what: str, progress: Progress | None, deadline: Deadline) -> None:
        size = part.file.size or 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={part.size}-"} if part.size else {})
        try:
            with self._wire.open(url, None, what, deadline, headers=headers, elsewhere=True) as response:
                if part.size and not _continues(response, part.size):
                    part.restart()
                for chunk in response.iter_raw(CHUNK):
                    if part.size + len(chunk) > size:
                        raise ContentMismatch(f"{what} is longer than the {size} bytes the hub announced", _DAMAGED)
                    part.add(chunk)
                    if progress:
                        progress(part.size, size)
                whole = "Content-Length" in response.headers or "Transfer-Encoding" in response.headers
        except RangeRefused:
            part.restart()
            raise
        if part.size < size:
            short = f"{what} ended after {part.size} of {size} bytes"
            raise ContentMismatch(short, _DAMAGED) if whole else HubUnavailable(short, "try again later")


def parse_source(source: str) -> list[tuple[str, str]]:
    """`filter=open_clip&author=me` as query parameters. Raises `UsageError` for anything else."""
    pairs = [part.partition("=") for part in source.split("&")]
    if not all(key in _SOURCE_KEYS and value for key, _, value in pairs):
        raise UsageError(
            f"hub filter {source!r} is not understood",
            f"write key=value with one of {', '.join(sorted(_SOURCE_KEYS))}, several joined by &",
        )
    return [(key, value) for key, _, value in pairs]


def _checked_id(repo_id: str) -> str:
    try:
        return listing.repo_id(repo_id)
    except MalformedError as error:
        raise UsageError(
            f"{plain(repo_id)} is not the name of a repository", "write it as organisation/name"
        ) from error


def _check_announced(ref: ModelRef, file: HubFile, limit: int | None) -> None:
    """Refuse before any request what could not be verified or would be too much."""
    if file.size is None or not (file.sha256 or file.git_oid):
        raise HubError(f"{file.path!r} of {ref}: the hub announced no size or no content hash")
    if limit is not None and file.size > limit:
        raise LimitExceeded(f"{file.path!r} of {ref} has {file.size} bytes, the limit is {limit}")


def _continues(response: Any, start: int) -> bool:
    return bool(response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-"))
