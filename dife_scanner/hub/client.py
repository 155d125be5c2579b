"""Talking to a hub: list, look, fetch. With `session.py` the only user of huggingface_hub.

Its session, headers, addresses and error codes are used as they are. Its generators and downloads are not:

- they wait without limit, also where the server sends a byte now and then;
- they stop at the first malformed item of a listing;
- they send the token wherever a `Link` points;
- they keep whatever bytes arrive, under a name that the server's ETag can choose;
- they hide why a download failed behind "not found in the local cache".

Here every request has a timeout and a wall-clock deadline, and every answer a size limit. The token goes to the
endpoint only. A file counts as fetched when its content hash is the one that the hub announced.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import ContentMismatch, HubError, HubUnavailable, LimitExceeded, UsageError
from dife_scanner.hub import listing
from dife_scanner.hub.budget import Budget, RateLimit
from dife_scanner.hub.deadline import Deadline
from dife_scanner.hub.listing import MalformedError, Page
from dife_scanner.hub.part import (
    DiskPart,
    Part,
    announced_hash,
    check_announced,
    check_room,
    continues,
    download_headers,
    matches,
    part_name,
    tells_its_end,
)
from dife_scanner.hub.query import listing_params
from dife_scanner.hub.session import prepare, session, tools
from dife_scanner.hub.start import read_part, read_start
from dife_scanner.hub.status import CHUNK, LATER, RangeRefused, is_page, page_instead, read_body
from dife_scanner.hub.wire import CHECK_ENDPOINT, Params, Wire
from dife_scanner.plain import plain
from dife_scanner.records import HubCommit, HubFile, HubModel, ModelRef

Progress = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""

# --- what is requested -------------------------------------------------------------------------------------------

MAX_PAGES = 5_000
"""Of a listing: 2.5 million models, more than the whole hub had in 2026."""
MAX_TREE_PAGES = 200
"""Of a repository's files, or a hundredth of how many it may hold; the hub puts 1,000 on a page."""

_GREETING_BYTES = 16 * 1024**2
"""Of an answer with one model; a mirror may send a whole page all the same."""
_WITH_SCAN = [("securityStatus", "true")]
"""Asks for the hub's own scan results, which cost no request of their own this way."""
_SMALL_ANSWERS = 3
"""A small answer may take so many of the longest waits: to connect, for the headers, for the body."""
_DAMAGED = "the file was damaged or replaced on its way; nothing of it was kept"


class Hub:
    """One hub. Nothing it says is believed before it is checked.

    `request_seconds` limits each wait for the network, three times that each complete small answer, and
    `download_seconds` each file. Transient errors are tried `tries` times in all. A wait that the hub requests is
    honoured up to `patience_seconds`; beyond that `HubUnavailable` carries it. `pause` sleeps, and a watcher passes
    `Event.wait` so that it can be woken; `check` raises where nothing more is wanted, also while an answer is awaited.
    `cache` is where huggingface_hub may write. A repository may hold `most_files`. A `budget` is shared with whoever
    else asks the same hub.

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
        check: Callable[[], None] | None = None,
        repo_type: Literal["model", "dataset"] = "model",
        most_files: int = listing.MAX_FILES,
        budget: Budget | None = None,
    ) -> None:
        prepare(cache)
        self._most_files = most_files
        self.repo_type = repo_type
        self.endpoint = endpoint.rstrip("/")
        self.has_token = bool(token)
        self._small_seconds = _SMALL_ANSWERS * request_seconds
        self._download_seconds = download_seconds
        self._wire = Wire(
            self.endpoint,
            token,
            session,
            tools(),
            request_seconds=request_seconds,
            patience_seconds=patience_seconds,
            tries=tries,
            pause=pause,
            check=check,
            budget=budget,
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
        """The limits the hub last reported, if any."""
        return self._wire.rate

    def greet(self) -> str:
        """Request one model of the listing, once, with the token; give the answer's header `Date`, or nothing.

        Raises `BadToken`, `HubUnavailable`, and `HubError` where the answer is none of a hub.
        """
        what = "the listing"
        url = f"{self.endpoint}/api/models"
        with self._wire.open(
            url, [("limit", "1")], what, Deadline(self._small_seconds)
        ) as response:
            body = read_body(response, _GREETING_BYTES)
            if is_page(response, body):
                raise page_instead(response, what)
            if not body.lstrip().startswith(b"["):
                raise HubError(
                    f"{self.endpoint} sent something other than a list for {what}", CHECK_ENDPOINT
                )
            return str(response.headers.get("Date", ""))

    # --- looking ------------------------------------------------------------------------------------------------

    def pages(
        self,
        source: str,
        since: datetime | None = None,
        *,
        deadline: Deadline | None = None,
        start: str = "",
    ) -> Iterator[Page]:
        """Models of one source, newest change first, until they are older than `since` (with a time zone).

        `source` is `key=value` of the hub's own search, several joined by `&`. `start` is a `Page.next` of an earlier
        reading, to go on there. Raises `HubUnavailable`, `BadToken`, and `HubError` where the hub's paging leads in
        circles.
        """
        url = f"{self.endpoint}/api/models"
        params: Params | None = listing_params(source)
        if start.startswith(f"{url}?"):  # of this hub, whatever it was called then
            url, params = start, None
        what = f"the listing {source!r}"
        bound = listing.utc(since) if since else ""
        seen: set[str] = set()
        repeated = False
        paged = self._wire.paged(url, params, what, deadline or Deadline(), most=MAX_PAGES)
        for items, following in paged:
            page = replace(listing.page(items), next=following)
            ids = {model.repo_id for model in page.models}
            # A hub whose links differ each time could go round for ever. One page of nothing new may be its last.
            known = bool(ids) and ids <= seen
            if known and repeated:
                raise HubError(f"{self.endpoint} sent the same models twice in {what}")
            repeated = known
            seen |= ids
            yield page
            if page.older_than(bound):
                return

    def info(
        self, repo_id: str, revision: str | None = None, *, deadline: Deadline | None = None
    ) -> HubModel:
        """The repository at `revision` (default: the main branch), with size and hash of every file at that commit.

        What the hub's own scanners say of it comes along, where the hub says it. A renamed repository comes under its
        new name. Raises `HubError` where the answer cannot be used, and what `tree` raises.
        """
        deadline = deadline or Deadline()
        name = _checked_id(repo_id)
        url = f"{self.endpoint}/api/{self.repo_type}s/{name}"
        what = f"{self.repo_type} {name}"
        if revision:
            url += f"/revision/{quote(revision, safe='')}"
            what += f" at {plain(revision, 80)}"
        answer, _, _ = self._wire.json(url, _WITH_SCAN, what, deadline)
        try:
            model = listing.model(answer)
        except MalformedError as error:
            raise HubError(
                f"{self.endpoint} describes {what} in a way that cannot be used: {error}"
            ) from error
        if revision and listing.is_sha(revision) and model.sha != revision:
            raise HubError(f"{self.endpoint} answered for commit {model.sha} when asked for {what}")
        # At the commit just named and not at the branch, which may have moved since.
        files = self.tree(ModelRef(model.repo_id, model.sha), deadline=deadline)
        return replace(model, files=files)

    def tree(self, ref: ModelRef, *, deadline: Deadline | None = None) -> tuple[HubFile, ...]:
        """Every file of one commit with size and content hash, by path; entries with unusable names are left out.

        Raises `LimitExceeded` above `most_files` files, and the errors of access.
        """
        repo = f"{self.repo_type}s/{_checked_id(ref.repo_id)}"
        url = f"{self.endpoint}/api/{repo}/tree/{quote(ref.revision, safe='')}"
        params = [("recursive", "true"), ("expand", "false")]
        what = f"the files of {ref}"
        pages = max(MAX_TREE_PAGES, self._most_files // 100)
        files: dict[str, HubFile] = {}
        for entries, _ in self._wire.paged(url, params, what, deadline or Deadline(), most=pages):
            on_this_page = {found.path: found for found in listing.tree(entries)}
            files = on_this_page | files  # the first entry of a path is kept
            if len(files) > self._most_files:
                raise LimitExceeded(
                    f"{ref} holds more than {self._most_files} files",
                    "raise limits.repository_files if you expect such a repository",
                )
        return tuple(files[path] for path in sorted(files))

    def commits(
        self, ref: ModelRef, *, most: int, deadline: Deadline | None = None
    ) -> list[HubCommit]:
        """The newest `most` commits up to this one, newest first. Raises the errors of access."""
        repo = f"{self.repo_type}s/{_checked_id(ref.repo_id)}"
        url = f"{self.endpoint}/api/{repo}/commits/{quote(ref.revision, safe='')}"
        what = f"the history of {ref}"
        found: list[HubCommit] = []
        for entries, _ in self._wire.paged(url, [], what, deadline or Deadline(), most=most):
            found += listing.commits(entries)
            if len(found) >= most:
                break
        return found[:most]

    # --- fetching -----------------------------------------------------------------------------------------------

    def read_small(
        self, ref: ModelRef, file: HubFile, limit: int, *, deadline: Deadline | None = None
    ) -> bytes:
        """A small file's verified bytes, in memory. Raises what `fetch` does.

        `limit` is in bytes.
        """
        check_announced(ref, file, limit)
        part = Part(file)
        self._fill(part, ref, None, deadline or Deadline(), each=self._small_seconds)
        return part.data

    def read_start(self, ref: ModelRef, file: HubFile, most: int) -> bytes:
        """The first `most` bytes of a file; not verified, and empty where none came. Raises the errors of access."""
        url = self._address(ref, file)
        deadline = Deadline().sooner(self._small_seconds)
        return read_start(self._wire, url, f"{file.path!r} of {ref}", most, deadline)

    def read_range(self, ref: ModelRef, file: HubFile, start: int, length: int) -> bytes:
        """`length` bytes of a file from `start` on; not verified, and empty where the hub does not send just these.

        Raises `HubUnavailable` and the errors of access.
        """
        url = self._address(ref, file)
        deadline = Deadline().sooner(self._small_seconds)
        return read_part(self._wire, url, f"{file.path!r} of {ref}", start, length, deadline)

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
        check_announced(ref, file, limit)
        deadline = (deadline or Deadline()).sooner(self._download_seconds)
        target = dest.joinpath(*listing.file_path(file.path).split("/"))
        with disk_errors(dest):
            target.parent.mkdir(parents=True, exist_ok=True)
            if matches(target, file):
                return target
            with DiskPart(file, target.with_name(part_name(target.name, file))) as part:
                check_room(dest, (file.size or 0) - part.size)
                self._fill_or_discard(part, ref, progress, deadline)
                part.keep_as(target)
        crash_point("hub.renamed")
        return target

    def _fill_or_discard(
        self, part: DiskPart, ref: ModelRef, progress: Progress | None, deadline: Deadline
    ) -> None:
        """Fill `part`; bytes that are not the announced ones leave nothing behind, and raise `ContentMismatch`."""
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
        self,
        part: Part,
        ref: ModelRef,
        progress: Progress | None,
        deadline: Deadline,
        each: float = math.inf,
    ) -> None:
        """Stream into `part` until it holds the announced bytes, and check that it does.

        One try may take `each` seconds. Raises `LimitExceeded` past the deadline, `ContentMismatch` for other bytes.
        """
        file = part.file
        url = self._address(ref, file)
        what = f"{file.path!r} of {ref}"

        def attempt() -> None:
            if part.size == 0 or part.size != file.size:
                self._stream_into(part, url, what, progress, deadline.sooner(each))

        try:
            self._wire.retrying(attempt, deadline, lambda: part.size)
        except HubUnavailable as error:
            if deadline.passed:
                raise LimitExceeded(
                    f"{what} did not arrive within {deadline.seconds:g} s",
                    "raise limits.download_seconds if your line is slow",
                ) from error
            raise
        announced = announced_hash(file)
        if part.digest != announced:
            raise ContentMismatch(
                f"{what} arrived with the hash {part.digest}, the hub announced {announced}",
                _DAMAGED,
            )

    def _address(self, ref: ModelRef, file: HubFile) -> str:
        """Where the content of a file is."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(
            _checked_id(ref.repo_id),
            file.path,
            repo_type=self.repo_type,
            revision=ref.revision,
            endpoint=self.endpoint,
        )

    def _stream_into(
        self, part: Part, url: str, what: str, progress: Progress | None, deadline: Deadline
    ) -> None:
        """One try: go on where `part` ends, or from the start where the server does not send the rest."""
        size = part.file.size or 0
        headers = download_headers(part.size)
        try:
            with self._wire.open(
                url, None, what, deadline, headers=headers, elsewhere=True
            ) as response:
                if part.size and not continues(response, part.size):
                    if response.status_code == 206:
                        raise RangeRefused(f"other bytes of {what} came than were left", LATER)
                    part.restart()  # the server ignored the range: this is the file from its beginning
                # unpacked, where a proxy packed it although it was to come as it is
                for chunk in response.iter_bytes(CHUNK):
                    if part.size == 0 and is_page(response, chunk):
                        raise page_instead(response, what)
                    if part.size + len(chunk) > size:
                        raise ContentMismatch(
                            f"{what} is longer than the {size} bytes the hub announced", _DAMAGED
                        )
                    part.add(chunk)
                    if progress:
                        progress(part.size, size)
                complete = tells_its_end(response)
        except RangeRefused:
            part.restart()
            raise
        if part.size < size:
            short = f"{what} ended after {part.size} of {size} bytes"
            if complete:
                raise ContentMismatch(short, _DAMAGED)
            raise HubUnavailable(short, LATER)


def _checked_id(repo_id: str) -> str:
    """`repo_id`, which becomes part of an address. Raises `UsageError` for what is no name of a repository."""
    try:
        return listing.repo_id(repo_id)
    except MalformedError as error:
        raise UsageError(
            f"{plain(repo_id)} is not the name of a repository",
            "write it as organisation/name",
        ) from error
