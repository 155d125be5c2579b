"""One frozen `Settings`, read once at the edge from TOML and environment; rooms take plain arguments.

Order: `DIFE_…` environment variables, then `config.toml` in the home directory, then the defaults below.
Secrets are not settings: `dife_scanner.secrets` looks them up where they are used and never stores them.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from dife_scanner.errors import HomeUnwritable, SettingsError
from dife_scanner.records import AlertEvent, Budget, Scope

DEFAULT_ENDPOINT = "https://huggingface.co"
APP = "dife-scanner"
PREFIX = "DIFE_"
"""Begins every environment variable of ours."""
_SECTION = "__"
"""Between a section's name and a key's in the name of an environment variable."""
_LONGEST_SECONDS = 10 * 365 * 24 * 3600.0
"""Ten years: beyond some such time a date cannot be computed any more."""
_FEWEST_DAYS = 30
"""What is told once a day or a week is known by what was told before."""
_DAYS = re.compile(r"(\d{1,5}) ?(?:d|days?)?")
"""At most 99,999, some 270 years: a date can be computed from it."""
_CHANNEL = re.compile(r"email|slack|slack:[A-Z0-9]{1,30}|email:[^\s@]+@[^\s@]+")
_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_QUIET = re.compile(rf"{_CLOCK.pattern}-{_CLOCK.pattern}")
_HEADER = re.compile(r"\s*(?P<many>\[?)\[(?P<name>[^\[\]]+)\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*(?P<name>[A-Za-z0-9_.-]+|"[^"]+"|'[^']+')\s*=""")
_LIST_FORM = 'a list is written `first,second` or `["first", "second"]`'

Seconds = Annotated[float, Field(gt=0, le=_LONGEST_SECONDS, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Section):
    """Bounds on everything a hub can send us. Hitting one is the state `limit-exceeded`, never a verdict."""

    checkpoint_bytes: int = Field(default=20 * 1024**3, gt=0)
    small_file_bytes: int = Field(default=16 * 1024**2, gt=0)
    repository_files: int = Field(default=20_000, gt=0)
    header_bytes: int = Field(default=25_000_000, gt=0)
    tensors: int = Field(default=20_000, gt=0)
    tokenizer_bytes: int = Field(default=64 * 1024**2, gt=0)
    parse_seconds: Seconds = 30.0
    parse_rss_mib: int = Field(default=1024, gt=0)
    audit_seconds: Seconds = 3600.0
    audit_rss_mib: int = Field(default=16_384, gt=0)
    search_precision: Literal["probe", "float32", "bfloat16"] = "probe"
    """In which precision searches read; what is measured is float32 whatever it is."""
    request_seconds: Seconds = 20.0
    pass_seconds: Seconds = 1800.0
    download_seconds: Seconds = 6 * 3600.0
    picture_classes: int = Field(default=200, gt=0)
    """Of somebody's own labelled pictures: what is tried between classes grows faster than their number."""


class Opinions(_Section):
    """Other scanners that are asked about the same files; what they say is kept and decides nothing."""

    ask: Literal["auto", "never"] = "auto"
    """`auto`: those that are named here or found on the PATH."""
    picklescan: str = ""
    modelaudit: str = ""
    seconds: Seconds = 120.0
    memory_mib: int = Field(default=4096, gt=0)


class Disk(_Section):
    """What fetched weights may take of the home's disk. Where there is no room a job waits; it never fails for that."""

    quota_bytes: int = Field(default=100 * 1024**3, gt=0)
    free_bytes: int = Field(default=5 * 1024**3, ge=0)
    """Kept free, whatever the quota allows."""
    fetch_ahead: bool = True
    """Whether the next checkpoint is fetched while one is audited."""


class Retention(_Section):
    """How long a home keeps what it can do without. Findings, decisions, audits and alerts nobody got stay for good."""

    evidence_days: int = Field(default=0, ge=0, le=36_500)
    """Of pictures and lists of audits on which no finding and no decision rests; 0 keeps them."""
    news_days: int = Field(default=365, le=36_500)
    """Of delivered news about the scanner itself, such as daily reports; 0 keeps them."""
    passes_days: int = Field(default=90, le=36_500)
    """Of the counts of each pass; 0 keeps them."""
    log_bytes: int = Field(default=10 * 1024**2, ge=64 * 1024)
    """Of each log; what is older lies beside it, once."""

    @field_validator("news_days", "passes_days")
    @classmethod
    def _not_too_short(cls, value: int) -> int:
        if value and value < _FEWEST_DAYS:
            raise ValueError(f"must be 0 (for good) or at least {_FEWEST_DAYS} days")
        return value


class Watch(_Section):
    """How much of the hub is watched, and back to when."""

    scope: Scope | Literal[""] = ""
    """Empty: nobody has chosen, which is the same as everything."""
    since: str = "30 days"
    list: tuple[Path, ...] = ()

    @field_validator("since")
    @classmethod
    def _one_form(cls, value: str) -> str:
        text = value.strip().lower()
        days = _DAYS.fullmatch(text)
        if days:
            return f"{int(days[1])} days"
        if text == "all" or _is_date(text):
            return text
        raise ValueError("must be a number of days (`30 days`), a date (`2025-01-31`) or `all`")

    @property
    def in_force(self) -> Scope:
        """The scope; everything where nobody has chosen."""
        return Scope(self.scope or Scope.EVERYTHING)

    def back_to(self, moment: datetime) -> datetime | None:
        """What the listings are read back to at `moment` (with a time zone); `None`: to their end."""
        if self.since == "all":
            return None
        days = _DAYS.fullmatch(self.since)
        if days:
            return moment - timedelta(days=int(days[1]))
        return datetime.combine(date.fromisoformat(self.since), time(), UTC)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


class Cluster(_Section):
    """Where audits run, and what each is given on a Ray cluster."""

    executor: Literal["local", "ray"] = "local"
    address: str = "auto"
    """`host:port` of the head; `auto`: that of the node this machine is."""
    cpus: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["auto"] = "auto"
    """`auto`: one where the cluster has any."""
    memory_mib: int = Field(default=4096, ge=0)


class References(_Section):
    """The clean bases that checkpoints are compared with, and how one comes here that a checkpoint needs."""

    fetch: Literal["ask", "auto", "never"] = "ask"
    """`ask`: a person at a terminal is asked, and without one the audit names the command that fetches it."""
    quota_bytes: int = Field(default=100 * 1024**3, gt=0)
    """Of all bases that were fetched because a checkpoint needed them."""
    registry: tuple[Path, ...] = ()
    """Further files of bases, in the form of docs/references.md."""


class Email(_Section):
    """Alerts by e-mail."""

    host: str = ""
    port: int = Field(default=25, ge=1, le=65535)
    sender: str = "dife-scanner@localhost"
    recipients: tuple[str, ...] = ()
    username: str = ""
    security: Literal["none", "starttls", "tls"] = "none"
    timeout_seconds: Seconds = 20.0

    @property
    def enabled(self) -> bool:
        """Whether there is both a server and somebody to write to."""
        return bool(self.host and self.recipients)


class Slack(_Section):
    """Alerts to a Slack channel, through an incoming webhook or by a bot."""

    enabled: bool = False
    channel: str = Field(default="", pattern=r"^[A-Z0-9]{0,30}$")
    """Id of the channel that the bot writes to; empty for the webhook."""
    api: str = "https://slack.com/api/"
    timeout_seconds: Seconds = 20.0

    @field_validator("api")
    @classmethod
    def _encrypted(cls, value: str) -> str:
        is_here = urlsplit(value).hostname in ("localhost", "127.0.0.1", "::1")
        if not value.startswith("https://") and not (is_here and value.startswith("http://")):
            raise ValueError("must start with https://: the token is sent there")
        return value.rstrip("/") + "/"


class Route(_Section):
    """Which findings go to which channels, and how soon."""

    filter: str = ""
    """Over findings, in the grammar of docs/filters.md; empty for all."""
    to: tuple[str, ...]
    """`email`, `slack`, `email:name@example.org` (same server, other recipient) or `slack:C0123ABC` (by the bot)."""
    events: tuple[AlertEvent, ...] = ()
    """Empty for every one."""
    urgent: bool = False
    """At once, whatever the other rules say."""
    digest: Literal["", "daily", "weekly"] = ""

    @field_validator("to")
    @classmethod
    def _channels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(_CHANNEL.fullmatch(name) for name in value):
            raise ValueError(
                "must name at least one of `email`, `slack`, `email:name@example.org` and `slack:C0123ABC`"
            )
        return value

    @property
    def eagerness(self) -> int:
        """Larger is sooner: of several routes to one channel the soonest counts."""
        if self.urgent:
            return 3
        return {"": 2, "daily": 1, "weekly": 0}[self.digest]


class Alerts(_Section):
    """Where alerts are sent, and when."""

    email: Email = Email()
    slack: Slack = Slack()
    routes: tuple[Route, ...] = ()
    """None: everything goes to every channel that is on."""
    group_seconds: float = Field(default=30.0, ge=0, le=86_400, allow_inf_nan=False)
    group_by: Literal["repository", "author", "all"] = "repository"
    storm: int = Field(default=20, ge=1, le=10_000)
    """More alerts than this to one channel in a clock hour are one message."""
    quiet_hours: str = ""
    """`22:00-07:00`; what falls into them waits for their end."""
    time_zone: str = "UTC"
    digest_at: str = "08:00"
    heartbeat: bool = True
    """Whether each day at `digest_at` it is told how the last one went."""
    digest_day: Literal[
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ] = "monday"

    @field_validator("quiet_hours")
    @classmethod
    def _two_times(cls, value: str) -> str:
        if value and (not _QUIET.fullmatch(value) or value[:5] == value[6:]):
            raise ValueError("must be two different times, as in `22:00-07:00`")
        return value

    @field_validator("digest_at")
    @classmethod
    def _one_time(cls, value: str) -> str:
        if not _CLOCK.fullmatch(value):
            raise ValueError("must be a time, as in `08:00`")
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            zone(value)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError(
                "is no time zone that this machine knows; one is `Europe/Berlin`"
            ) from None
        return value


def zone(name: str) -> tzinfo:
    """The time zone of this name. Raises `ZoneInfoNotFoundError`, `ValueError` or `OSError`."""
    if name == "UTC":  # known without any database of zones
        return UTC
    return ZoneInfo(name)


_FIXED_KEYS = "gGjklnqv"
"""Keys that move, mark, write a note, copy a link or quit, and stay what they are."""
_KeyOfOne = Annotated[str, Field(pattern=r"^[A-Za-z+*!#%]$")]


class Keys(_Section):
    """What is pressed for an action, in the window and in `dife top`; a capital letter is pressed with Shift."""

    switch_filter: _KeyOfOne = "x"
    copy_model: _KeyOfOne = "y"
    confirm: _KeyOfOne = "c"
    false_positive: _KeyOfOne = "f"
    accept_risk: _KeyOfOne = "a"
    take_on: _KeyOfOne = "t"
    decide_about_many: _KeyOfOne = "b"
    decide_for_deployment: _KeyOfOne = "d"
    take_over: _KeyOfOne = "o"
    mark_alike: _KeyOfOne = "*"
    take_back: _KeyOfOne = "u"
    turn_picture: _KeyOfOne = "i"
    undo: _KeyOfOne = "z"
    redo: _KeyOfOne = "Z"
    retry: _KeyOfOne = "r"
    put_first: _KeyOfOne = "+"
    pause: _KeyOfOne = "p"

    @field_validator("*")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if value in _FIXED_KEYS:
            raise ValueError(f"{value} is a key that stays what it is (docs/keys.md)")
        return value

    @model_validator(mode="after")
    def _each_once(self) -> Keys:
        actions: dict[str, str] = {}
        for action, key in self.model_dump().items():
            if key in actions:
                raise ValueError(f"{actions[key]} and {action} are both {key}")
            actions[key] = action
        return self


class Settings(BaseSettings):
    """Everything that can be set; see `dife config init` for the same with comments."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=_SECTION,
        frozen=True,
        extra="forbid",
        toml_file=None,
    )

    home: Path = Field(default_factory=lambda: platformdirs.user_data_path(APP))
    endpoint: str = DEFAULT_ENDPOINT
    interval_seconds: Annotated[Seconds, Field(ge=1)] = 1800.0
    overlap_seconds: float = Field(default=3600.0, ge=0, le=_LONGEST_SECONDS, allow_inf_nan=False)
    workers: int = Field(default=0, ge=0, le=64)
    """Of a watcher; 0: one for each graphics card, and one where there is none."""
    database_seconds: Seconds = 30.0
    """How long a command waits while another program holds the database; a watcher waits as long as it takes."""
    device: str = "auto"
    budget: Budget = Budget.DEFAULT
    """What an audit may cost where the command line does not say."""
    discover: bool = True
    """Whether audits search for triggers nobody described, besides trying the signatures."""
    all_searches: bool = False
    """Whether searches go on through a channel of which a trigger is demonstrated already."""
    filters: tuple[str, ...] = ()
    """Replaces the built-in union of hub filters, e.g. `filter=open_clip`, `search=clip`."""
    signatures: tuple[Path, ...] = ()
    """Further trigger files besides the bundled library."""
    desk: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9 ._-]{0,63})?$")] = ""
    """What other desks call this one in what was decided here; empty for the machine's name."""
    actor: Annotated[str, Field(pattern=r"^([^\s\x00-\x1f\x7f]{1,100})?$")] = ""
    """Who decides here, in every log of decisions; empty for the login name."""
    watch: Watch = Watch()
    limits: Limits = Limits()
    opinions: Opinions = Opinions()
    disk: Disk = Disk()
    retention: Retention = Retention()
    references: References = References()
    cluster: Cluster = Cluster()
    alerts: Alerts = Alerts()
    keys: Keys = Keys()

    @property
    def audits_at_once(self) -> int:
        """How many audits share this machine as far as the settings tell, which know no graphics cards."""
        return max(1, self.workers)

    @property
    def who(self) -> str:
        """Who decides here; a container may run us as somebody without a name."""
        if self.actor:
            return self.actor
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            return f"uid {os.getuid()}"

    @field_validator("endpoint")
    @classmethod
    def _http_only(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        parts = urlsplit(value)
        if not parts.hostname or parts.port == 0:  # asking for a port that is no number raises
            raise ValueError("must name a host, as in https://hub.example.org")
        if not value.isprintable() or " " in value:
            raise ValueError("must not hold spaces or control characters")
        return value.rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Environment(settings_cls), TomlConfigSettingsSource(settings_cls)


class _Environment(EnvSettingsSource):
    """Environment variables, in which a list may be written with commas besides as JSON."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """A list or a section from its text; the text itself where it is neither, for the check of types to name."""
        is_list = get_origin(field.annotation) is tuple
        if is_list and not value.lstrip().startswith("["):
            return [part.strip() for part in value.split(",") if part.strip()]
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value


def config_path(home: Path) -> Path:
    """The settings file of a home."""
    return home / "config.toml"


def load(home: Path | None = None, **given: Any) -> Settings:
    """Read settings for `home` (or `DIFE_HOME`, or the platform's data directory).

    `given` are values from the command line; they win. Raises `SettingsError` naming the key,
    and `HomeUnwritable` for a home that belongs to somebody else.
    """
    where = _absolute(home or _default_home())
    path = config_path(where)
    _check_file(path, where)
    values = {key: value for key, value in given.items() if value is not None}
    read = _read(path, {"home": where, **values})
    # a plain `Settings`, which no longer depends on the file
    return Settings.model_construct(**{name: getattr(read, name) for name in Settings.model_fields})


def errors(home: Path | None = None) -> list[SettingsError]:
    """Everything that `load` would not accept; empty where it accepts the settings."""
    try:
        load(home)
    except SettingsError as error:
        if not isinstance(error.__cause__, ValidationError):
            return [error]
        path = config_path(_absolute(home or _default_home()))
        return [_invalid(one, path, {}) for one in error.__cause__.errors()]
    return []


def place(path: Path, key: str) -> str:
    """Where a key stands, such as `config.toml, line 12`; the file alone where the key is not found in it."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        parts = key.split(".")
        lines = _lines_of_keys(path.read_text(encoding="utf-8"))
        while parts:
            line = lines.get(".".join(parts))
            if line:
                return f"{path}, line {line}"
            parts.pop()
    return str(path)


def _lines_of_keys(text: str) -> dict[str, int]:
    """The line of each table and each key of a TOML document, items of `[[tables]]` counted from 0."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.fullmatch(line)
        key = _KEY.match(line)
        if header:
            table = header["name"].replace(" ", "")
            if header["many"]:
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}.{counts[table]}"
            found.setdefault(table, number)
        elif key:
            name = key["name"].strip("\"'")
            found.setdefault(f"{table}.{name}" if table else name, number)
    return found


def _default_home() -> Path:
    named = os.environ.get("DIFE_HOME")
    if named:
        return Path(named)
    return platformdirs.user_data_path(APP)


def _absolute(home: Path) -> Path:
    try:
        return home.expanduser().absolute()
    except (RuntimeError, OSError) as error:  # no such user; a working directory that is gone
        raise SettingsError(
            f"the state directory {home} cannot be found: {error}",
            "name it by its full path with --home or DIFE_HOME",
        ) from error


def _check_file(path: Path, home: Path) -> None:
    try:
        is_something_else = path.exists() and not path.is_file()
    except PermissionError as error:
        raise HomeUnwritable(
            f"{home} is not ours to look into", "check its owner, or use another --home"
        ) from error
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"the state directory {home} cannot be looked into: {error}", "use another --home"
        ) from error
    if is_something_else:
        raise SettingsError(f"{path} is not a file", "move it away or run `dife config init`")


def _read(path: Path, given: dict[str, Any]) -> Settings:
    class _FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return _FromFile(**given)
    except ValidationError as error:
        raise _invalid(error.errors()[0], path, given) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} is not valid TOML: {error}", "correct it or run `dife config init`"
        ) from error
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}", "check its permissions"
        ) from error
    except Exception as error:  # of the readers of TOML and environment: no closed set
        raise SettingsError(
            f"the settings cannot be read ({type(error).__name__})",
            f"check {path} and the {PREFIX} environment variables",
        ) from error


def _invalid(one: ErrorDetails, path: Path, given: Mapping[str, Any]) -> SettingsError:
    """One value that is not allowed, in words: where it stands, and which form it takes."""
    location = [str(part) for part in one["loc"]]
    key = ".".join(location) or "?"
    reason = one["msg"].removeprefix("Value error, ")
    if one["type"] == "extra_forbidden":
        reason = "there is no such setting"
    what = f"setting `{key}` is not valid: {reason}"
    if one["type"] == "tuple_type":
        what = f"{what}; {_LIST_FORM}"
    if _is_given(location, given):
        return SettingsError(what, "correct it on the command line")
    variable = _variable(location)
    if variable:
        return SettingsError(f"{variable}: {what}", f"correct the environment variable {variable}")
    return SettingsError(what, f"correct it in {place(path, key)}")


def _is_given(location: list[str], given: Mapping[str, Any]) -> bool:
    """Whether the value at `location` came from the command line."""
    at: Any = given
    for name in location:
        if not isinstance(at, Mapping):
            return True
        if name not in at:
            return False
        at = at[name]
    return True


def _variable(location: list[str]) -> str:
    """The environment variable that this setting, or a section around it, was read from; empty where none was."""
    there = {name.upper(): name for name in os.environ}
    for length in range(len(location), 0, -1):
        name = PREFIX + _SECTION.join(location[:length]).upper()
        if name in there:
            return there[name]
    return ""


_TEMPLATE = """\
# Settings of DIFE Scanner. Take the # away from what you want to change; what stands there is the default.
# Every key can also be given in the environment, which wins: DIFE_WORKERS=2, DIFE_ALERTS__EMAIL__HOST=mail.example.org
# There a list is written with commas, or as JSON: DIFE_FILTERS=filter=open_clip,search=clip
# Passwords and tokens do not belong here: `dife info` shows where they are looked up.

# The hub to watch.
#endpoint = "https://huggingface.co"
# Seconds from one pass over the hub to the next.
#interval_seconds = 1800.0
# Each pass looks this many seconds further back than the last one saw, because listings arrive late.
#overlap_seconds = 3600.0
# Audits at the same time. 0: one for each graphics card, and one where there is none.
#workers = 0
# How long a command waits while another program holds the database; a watcher waits as long as it takes.
#database_seconds = 30.0
# "auto", "cpu", "cuda", "cuda:1" or "mps".
#device = "auto"
# What an audit may cost: "quick", "default" or "deep". More pictures per drawing, longer searches.
#budget = "default"
# Search each checkpoint for triggers nobody described. Signatures alone are quicker and miss what they do not name.
#discover = true
# Go on with the searches of a channel (pictures, texts) once a trigger of it is demonstrated.
#all_searches = false
# Replaces the built-in union of hub filters, e.g. ["filter=open_clip", "search=clip"].
#filters = []
# Further trigger files or folders besides the bundled signatures.
#signatures = []
# What other desks call this one in exported decisions (docs/decisions.md); the machine's name where it is empty.
#desk = ""
# Who decides here, in every log of decisions: a name without spaces; the login name where it is empty.
#actor = ""

# What is pressed for an action in the window and in `dife top` (docs/keys.md): a letter, or one of + * ! # %
[keys]
#switch_filter = "x"
#copy_model = "y"
#confirm = "c"
#false_positive = "f"
#accept_risk = "a"
#take_on = "t"
#decide_about_many = "b"
#decide_for_deployment = "d"
#take_over = "o"
#mark_alike = "*"
#take_back = "u"
#turn_picture = "i"
#undo = "z"
#redo = "Z"
#retry = "r"
#put_first = "+"
#pause = "p"

# Bounds on everything a hub can send. A checkpoint that hits one ends as limit-exceeded, never with a verdict.
[limits]
# The weights of one checkpoint.
#checkpoint_bytes = 21474836480
# One configuration or prompt learner.
#small_file_bytes = 16777216
# Files that a repository may hold, whether they are fetched or not.
#repository_files = 20000
# The header of a safetensors file.
#header_bytes = 25000000
#tensors = 20000
# The files of a tokenizer together.
#tokenizer_bytes = 67108864
# Reading headers and configurations, in a process of its own.
#parse_seconds = 30.0
#parse_rss_mib = 1024
# One audit, in a process of its own: seconds that searches are planned for (killed after twice as many), and memory.
#audit_seconds = 3600.0
#audit_rss_mib = 16384
# Precision that searches read in: "probe" takes "bfloat16" where it is clearly quicker here, else "float32".
# Whatever is measured is float32.
#search_precision = "probe"
# One request to the hub, one pass over its listings, one checkpoint's download.
#request_seconds = 20.0
#pass_seconds = 1800.0
#download_seconds = 21600.0
# Classes of your own labelled pictures (--pictures). Every class is tried as source and as target.
#picture_classes = 200

# Second opinions: other scanners of files, asked about each private copy, without network. What they say is kept with
# the job and shown by `dife show --full`; it decides nothing.
[opinions]
# "auto": those named here or found on the PATH; "never": none.
#ask = "auto"
# Paths of the programs, where they are not on the PATH.
#picklescan = ""
#modelaudit = ""
# What one of them may use for one checkpoint.
#seconds = 120.0
#memory_mib = 4096

# Weights that were fetched and wait for their audit; they are removed after it. Where there is no room, a job waits.
[disk]
# All of them together.
#quota_bytes = 107374182400
# Left free on the disk that holds this directory, for everything else.
#free_bytes = 5368709120
# Fetch the next checkpoint while one is audited.
#fetch_ahead = true

# How long a home keeps what it can do without; 0 keeps it for good. Findings, decisions, audits and alerts nobody got
# are always kept (docs/operating.md).
[retention]
# Pictures and lists of audits on which no finding and no decision rests.
#evidence_days = 0
# Delivered news about the scanner itself, such as daily reports; at least 30.
#news_days = 365
# The counts of each pass; at least 30.
#passes_days = 90
# Of each log; what is older lies beside it, once.
#log_bytes = 10485760

# The clean bases that checkpoints are compared with (docs/references.md).
[references]
# Whether a base that a checkpoint needs is fetched: "auto", "never", or "ask", which asks a person at a terminal;
# without one the audit says which command fetches it.
#fetch = "ask"
# Bytes on disk of the bases that were fetched so; the one that was not used for the longest time makes room.
#quota_bytes = 107374182400
# Further files that name bases, e.g. an organisation's own.
#registry = []

# Where audits run (docs/cluster.md): "local", or "ray" for the nodes of a Ray cluster.
[cluster]
#executor = "local"
# host:port of the cluster's head; "auto" where this machine is one of its nodes.
#address = "auto"
# What each audit is given there. Graphics cards: a number, or "auto" for one where the cluster has any.
#cpus = 1.0
#gpus = "auto"
#memory_mib = 4096

# What is told, to whom and when: docs/alerts.md.
[alerts]
# Wait so many seconds for others about the same "repository", "author" or "all", and tell them together.
#group_seconds = 30.0
#group_by = "repository"
# More than so many of one clock hour to one channel are one message.
#storm = 20
# "22:00-07:00": what falls into them waits for their end.
#quiet_hours = ""
# Of quiet hours and digests: a name like "Europe/Berlin".
#time_zone = "UTC"
# Each day at digest_at: how many were audited, failed and found, also where nothing was.
#heartbeat = true
# When digests of routes and the daily report go.
#digest_at = "08:00"
#digest_day = "monday"
# Which findings go where; without routes everything goes to every channel that is on. Each is a table of its own:
# [[alerts.routes]]
# filter = "severity:exposed"
# to = ["slack", "email:oncall@example.org"]
# urgent = true
#routes = []

# E-mail is on where both host and recipients are given. The password is the secret smtp-password.
[alerts.email]
#host = ""
#port = 25
#sender = "dife-scanner@localhost"
# e.g. ["soc@example.org"]
#recipients = []
# With a user name we log in to the server; without one we do not.
#username = ""
# "none", "starttls" (mostly port 587) or "tls" (mostly port 465).
#security = "none"
#timeout_seconds = 20.0

# Through an incoming webhook, whose address is the secret slack-webhook, or, with a channel, by a bot, whose token is
# the secret slack-token: a thread for each model, whose first message is edited when somebody decides.
[alerts.slack]
#enabled = false
# The id of the channel, e.g. "C0123ABC".
#channel = ""
#api = "https://slack.com/api/"
#timeout_seconds = 20.0

# How much of the hub is watched. `dife watch` asks at its first start and keeps the answer here.
[watch]
# "in-use", "fine-tunes" (of these and of their bases) or "everything", which "" is too.
#scope = ""
# Back to when the listings are read: "30 days", "2025-01-31" or "all".
#since = "30 days"
# Where the models in use are named: text files, CycloneDX documents, caches of the hub, source trees. They go first.
#list = []
"""


def template() -> str:
    """A `config.toml` with every key, its default and what it does; as it stands it changes nothing."""
    return _TEMPLATE
