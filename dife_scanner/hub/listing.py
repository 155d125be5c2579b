"""What a hub's JSON says, turned into records; pure, and written for a hub that lies.

Every string here was written by a stranger. Ids and paths that could mean another place are not accepted, text is
cut to length and made encodable; showing it is the report's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dife_scanner.records import HubFile, HubModel

MAX_FILES = 20_000
_MAX_TAGS = 512
_MAX_TEXT = 512
_MAX_PATH = 1024

_SHA = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPO_ID = re.compile(rf"(?:{_PART}/)?{_PART}")


class MalformedError(ValueError):
    """One item that is not what the hub's API promises; the reason holds no text of the hub's."""


@dataclass(frozen=True)
class Page:
    """One page of a listing, item by item."""

    models: tuple[HubModel, ...]
    malformed: tuple[str, ...]
    """One reason per item that could not be read."""
    ordered: bool
    """Newest first, as asked; where false, an old item says nothing about those after it."""

    def older_than(self, bound: str) -> bool:
        """Whether everything on later pages was changed before `bound`, as far as this page can tell."""
        dates = [model.last_modified for model in self.models]
        return bool(dates) and (min(dates) if self.ordered else max(dates)) < bound


def page(items: Iterable[object]) -> Page:
    """Parse what can be parsed: a malformed item costs that item only."""
    models: list[HubModel] = []
    malformed: list[str] = []
    for item in items:
        try:
            models.append(model(item))
        except MalformedError as error:
            malformed.append(str(error))
    dates = [found.last_modified for found in models]
    return Page(tuple(models), tuple(malformed), dates == sorted(dates, reverse=True))


def model(item: object) -> HubModel:
    """One listing item or `model_info` answer. Raises `MalformedError`."""
    if not isinstance(item, dict):
        raise MalformedError("item is not an object")
    return HubModel(
        repo_id=repo_id(item.get("id")),
        sha=sha(item.get("sha")),
        last_modified=timestamp(item.get("lastModified")),
        created_at=timestamp(item["createdAt"]) if item.get("createdAt") else "",
        author=_text(item.get("author")),
        library=_text(item.get("library_name")),
        pipeline_tag=_text(item.get("pipeline_tag")),
        tags=_tags(item),
        gated=bool(item.get("gated")),
        private=bool(item.get("private")),
        disabled=bool(item.get("disabled")),
        downloads=_count(item.get("downloads")),
        files=_siblings(item.get("siblings")),
    )


def repo_id(value: object) -> str:
    """`org/name` or `name`, plain characters only. Raises `MalformedError`."""
    if not isinstance(value, str):
        raise MalformedError("item has no id")
    if not _REPO_ID.fullmatch(value) or ".." in value or "--" in value or value.endswith(".git"):
        raise MalformedError("id is not a repository id")
    return value


def sha(value: object) -> str:
    if not isinstance(value, str) or not _SHA.fullmatch(value):
        raise MalformedError("item has no commit sha")
    return value


def is_sha(value: str) -> bool:
    return _SHA.fullmatch(value) is not None


def timestamp(value: object) -> str:
    """ISO 8601 in UTC with microseconds. Raises `MalformedError`."""
    if not isinstance(value, str) or len(value) > 40:
        raise MalformedError("item has no date")
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise MalformedError("date has no time zone")
        return utc(moment)
    except MalformedError:
        raise
    except (ValueError, OverflowError) as error:
        raise MalformedError("date is not a date") from error


def utc(moment: datetime) -> str:
    """The form in which all times are kept; such strings sort by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def file_path(value: object) -> str:
    """A relative path that stays below its repository, in forward slashes. Raises `MalformedError`."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_PATH or not value.isprintable() or "\\" in value:
        raise MalformedError("file name is not a plain path")
    if any(part in ("", ".", "..") for part in value.split("/")) or ":" in value.split("/")[0]:
        raise MalformedError("file name leaves its repository")
    return value


def tree_file(entry: object) -> HubFile | None:
    """One entry of the tree call; `None` for a folder. Raises `MalformedError`."""
    if not isinstance(entry, dict):
        raise MalformedError("tree entry is not an object")
    if entry.get("type") == "directory":
        return None
    lfs = entry.get("lfs")
    if isinstance(lfs, dict):
        return HubFile(file_path(entry.get("path")), _size(lfs.get("size")), sha256=_hex(lfs.get("oid"), _SHA256))
    return HubFile(file_path(entry.get("path")), _size(entry.get("size")), git_oid=_hex(entry.get("oid"), _SHA))


def tree(entries: Iterable[object]) -> list[HubFile]:
    """The usable files of one page of the tree call."""
    files: list[HubFile] = []
    for entry in entries:
        try:
            found = tree_file(entry)
        except MalformedError:
            continue  # a file that could not be asked for or verified
        if found is not None:
            files.append(found)
    return files


def _siblings(value: object) -> tuple[HubFile, ...]:
    """Names only: sizes and hashes come from the tree call."""
    files: list[HubFile] = []
    for entry in value[:MAX_FILES] if isinstance(value, list) else []:
        try:
            files.append(HubFile(file_path(entry.get("rfilename") if isinstance(entry, dict) else None)))
        except MalformedError:
            continue  # a name we would never ask for
    return tuple(files)


def _tags(item: dict[str, Any]) -> tuple[str, ...]:
    """The item's tags, with the card's base models as the tags the hub makes of them."""
    given = item.get("tags")
    tags = [_text(tag) for tag in given[:_MAX_TAGS] if isinstance(tag, str)] if isinstance(given, list) else []
    card = item.get("cardData")
    bases = card.get("base_model") if isinstance(card, dict) else None
    if not any(tag.startswith("base_model:") for tag in tags):
        names = bases if isinstance(bases, list) else [bases]
        tags += [f"base_model:{_text(name)}" for name in names[:8] if isinstance(name, str) and name]
    return tuple(tags)


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return value[:_MAX_TEXT].encode("utf-8", "replace").decode()  # JSON can carry lone surrogates, SQLite cannot


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**62 else 0


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise MalformedError("file has no size")
    return value


def _hex(value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise MalformedError("file has no content hash")
    return value
