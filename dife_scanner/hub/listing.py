"""What a hub's JSON says, turned into records; pure, and written for a hub that lies.

Every string here was written by a stranger. Ids and paths that could mean another place are not accepted. Text is
cut to length and made encodable; making it safe to show is left to the reports.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dife_scanner.records import HubCommit, HubFile, HubModel, HubScan

MAX_FILES = 20_000
"""Of one repository. A CLIP checkpoint has a few dozen; more would fill memory and the store for nothing."""
_MAX_TAGS = 512
_MAX_TEXT = 512
"""Characters of an author, a library or a tag: the longest real ones are repository names of about a hundred."""
_MAX_PATH = 1024
"""Characters of a file name. File systems allow 255 a component and 4,096 a path."""
_MAX_BASES = 8
"""Base models of one card: a merge names a few."""
_MAX_ISSUES = 50
"""Files with an issue that are named; of more it is said how many."""
_MAX_LEVEL = 40
"""Characters of a level such as `suspicious`."""
_MAX_DATE = 40
"""Characters of a date. ISO 8601 with microseconds and a time zone has 32."""
_BEYOND_ANY_COUNT = 2**62
"""Bytes or downloads. Two of these still fit SQLite's signed 64-bit integer when they are added."""

_SHA = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# The hub's own rule (96 characters, no dot or dash at either end); stricter only in being ASCII.
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPO_ID = re.compile(rf"(?:{_PART}/)?{_PART}")


class MalformedError(ValueError):
    """One item that is not what the hub's API promises; the reason quotes nothing that the hub sent."""


@dataclass(frozen=True)
class Page:
    """One page of a listing, item by item."""

    models: tuple[HubModel, ...]
    malformed: tuple[str, ...]
    """One reason per item that could not be read."""
    ordered: bool
    """Newest first, as requested; where false, an old item says nothing about those after it."""
    next: str = ""
    """Address of the next page; empty where there is none, or where it cannot be followed."""

    def older_than(self, bound: str) -> bool:
        """Whether everything on later pages was changed before `bound`, as far as this page can tell.

        `bound` has the form of `utc`. A page of models out of order counts as older only as a whole.
        """
        dates = [model.last_modified for model in self.models]
        if not dates:
            return False
        if self.ordered:
            return min(dates) < bound
        return max(dates) < bound


def page(items: Iterable[object]) -> Page:
    """Parse what can be parsed of one page.

    A malformed item costs that item only. The generator of huggingface_hub ends at the first one, and everything
    that stands behind it is lost.
    """
    models: list[HubModel] = []
    malformed: list[str] = []
    for item in items:
        try:
            models.append(model(item))
        except MalformedError as error:
            malformed.append(str(error))
    dates = [found.last_modified for found in models]
    newest_first = dates == sorted(dates, reverse=True)
    return Page(tuple(models), tuple(malformed), newest_first)


def model(item: object) -> HubModel:
    """One listing item or `model_info` answer. Raises `MalformedError`."""
    if not isinstance(item, dict):
        raise MalformedError("item is not an object")
    created = item.get("createdAt")
    return HubModel(
        repo_id=repo_id(item.get("id")),
        sha=sha(item.get("sha")),
        last_modified=timestamp(item.get("lastModified")),
        created_at=timestamp(created) if created else "",
        author=_text(item.get("author")),
        library=_text(item.get("library_name")),
        pipeline_tag=_text(item.get("pipeline_tag")),
        tags=_tags(item),
        gated=bool(item.get("gated")),  # false, "auto" or "manual"
        private=bool(item.get("private")),
        disabled=bool(item.get("disabled")),
        downloads=_count(item.get("downloads")),
        files=_siblings(item.get("siblings")),
        scan=scan(item.get("securityRepoStatus")),
    )


def scan(value: object) -> HubScan | None:
    """What the hub's scanners say, from `securityRepoStatus`; `None` where it is absent or not in the known form.

    It counts as done only where it says so in as many words.
    """
    if not isinstance(value, dict) or "scansDone" not in value:
        return None
    issues = value.get("filesWithIssues")
    named: list[tuple[str, str]] = []
    others = 0
    for issue in issues if isinstance(issues, list) else ():
        path = _text(issue.get("path")) if isinstance(issue, dict) else ""
        if path and len(named) < _MAX_ISSUES:
            named.append((path, _text(issue.get("level"))[:_MAX_LEVEL] or "not stated"))
        else:
            others += 1
    return HubScan(value["scansDone"] is True, tuple(named), others)


def repo_id(value: object) -> str:
    """`org/name` or `name`, plain characters only. Raises `MalformedError`.

    A listing is not checked by the hub's own client: an id such as `../../x` would come through, and it becomes part
    of addresses here.
    """
    if not isinstance(value, str):
        raise MalformedError("item has no id")
    # The last three are what the hub refuses too; `--` separates the names in folders of its cache.
    if not _REPO_ID.fullmatch(value) or ".." in value or "--" in value or value.endswith(".git"):
        raise MalformedError("id is not a repository id")
    return value


def sha(value: object) -> str:
    """A commit: 40 hexadecimal digits. Raises `MalformedError`."""
    if not isinstance(value, str) or not _SHA.fullmatch(value):
        raise MalformedError("item has no commit sha")
    return value


def is_sha(value: str) -> bool:
    """Whether `value` names a commit and not a branch or tag."""
    return _SHA.fullmatch(value) is not None


def timestamp(value: object) -> str:
    """A date of the hub as ISO 8601 in UTC with microseconds. Raises `MalformedError`."""
    if not isinstance(value, str) or len(value) > _MAX_DATE:
        raise MalformedError("item has no date")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise MalformedError("date is not a date") from error
    if moment.tzinfo is None:
        raise MalformedError("date has no time zone")
    try:
        return utc(moment)
    except (
        OverflowError
    ) as error:  # the first or last year, moved beyond the calendar by its time zone
        raise MalformedError("date is not a date") from error


def utc(moment: datetime) -> str:
    """The form in which all times are kept; such strings sort by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def file_path(value: object) -> str:
    """A relative path that stays below its repository, in forward slashes. Raises `MalformedError`.

    A colon in the first part would be a drive on Windows, a backslash a separator.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_PATH:
        raise MalformedError("file name is not a plain path")
    if not value.isprintable() or "\\" in value:
        raise MalformedError("file name is not a plain path")
    parts = value.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or ":" in parts[0]:
        raise MalformedError("file name leaves its repository")
    return value


def commits(entries: Iterable[object]) -> list[HubCommit]:
    """The usable commits of one page of a history, in its order."""
    found = []
    for entry in entries:
        sha = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(sha, str) or not is_sha(sha):
            continue
        try:
            found.append(HubCommit(sha, timestamp(entry.get("date"))))
        except MalformedError:
            continue
    return found


def tree_file(entry: object) -> HubFile | None:
    """One entry of the tree call with size and content hash; `None` for a folder. Raises `MalformedError`.

    A file in LFS is identified by its sha256, a file kept in git by the id of its blob.
    """
    if not isinstance(entry, dict):
        raise MalformedError("tree entry is not an object")
    if entry.get("type") == "directory":
        return None
    path = file_path(entry.get("path"))
    lfs = entry.get("lfs")
    if isinstance(lfs, dict):
        return HubFile(path, _size(lfs.get("size")), sha256=_hex_digits(lfs.get("oid"), _SHA256))
    return HubFile(path, _size(entry.get("size")), git_oid=_hex_digits(entry.get("oid"), _SHA))


def tree(entries: Iterable[object]) -> list[HubFile]:
    """The usable files of one page of the tree call."""
    files: list[HubFile] = []
    for entry in entries:
        try:
            found = tree_file(entry)
        except MalformedError:
            continue  # a file that could not be requested or verified
        if found is not None:
            files.append(found)
    return files


def _siblings(value: object) -> tuple[HubFile, ...]:
    """The files of a listing item. Names only: sizes and hashes come from the tree call."""
    if not isinstance(value, list):
        return ()
    files: list[HubFile] = []
    for entry in value[:MAX_FILES]:
        name = entry.get("rfilename") if isinstance(entry, dict) else None
        try:
            files.append(HubFile(file_path(name)))
        except MalformedError:
            continue  # a name we would never ask for
    return tuple(files)


def _tags(item: dict[str, Any]) -> tuple[str, ...]:
    """The item's tags. Where none names a base model, the card's are added in the form of the hub's own tags."""
    tags = _texts(item.get("tags"), _MAX_TAGS)
    if not any(tag.startswith("base_model:") for tag in tags):
        for base in _base_models(item.get("cardData")):
            tags.append(f"base_model:{base}")
    return tuple(tags)


def _base_models(card: object) -> list[str]:
    """The base models that a card names: one, a list, or none; not verified."""
    if not isinstance(card, dict):
        return []
    named = card.get("base_model")
    if not isinstance(named, list):
        named = [named]
    return [name for name in _texts(named, _MAX_BASES) if name]


def _texts(values: object, most: int) -> list[str]:
    """The texts among the first `most` values of a list."""
    if not isinstance(values, list):
        return []
    return [_text(value) for value in values[:most] if isinstance(value, str)]


def _text(value: object) -> str:
    """`value` where it is text, cut to length; JSON can carry lone surrogates, SQLite cannot."""
    if not isinstance(value, str):
        return ""
    return value[:_MAX_TEXT].encode("utf-8", "replace").decode()


def _count(value: object) -> int:
    """Downloads; 0 for what is no count, as nothing is decided by it."""
    if isinstance(value, int) and 0 <= value < _BEYOND_ANY_COUNT:
        return value
    return 0


def _size(value: object) -> int:
    """Bytes. Raises `MalformedError`: without a size a file can be neither limited nor verified."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _BEYOND_ANY_COUNT:
        raise MalformedError("file has no size")
    return value


def _hex_digits(value: object, pattern: re.Pattern[str]) -> str:
    """A content hash. It also becomes part of a file name here, so nothing but hexadecimal digits is let through."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise MalformedError("file has no content hash")
    return value
