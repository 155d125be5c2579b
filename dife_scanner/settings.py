"""One frozen `Settings`, read once at the edge from TOML and environment; rooms take plain arguments.

Order: `DIFE_…` environment variables, then `config.toml` in the home directory, then the defaults below.
Secrets are not settings: `secret()` looks them up where they are used and never stores them.
"""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from dife_scanner.errors import HomeUnwritable, SettingsError
from dife_scanner.records import Budget

DEFAULT_ENDPOINT = "https://huggingface.co"
APP = "dife-scanner"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Section):
    """Bounds on everything a hub can send us. Hitting one is the state `limit-exceeded`, never a verdict."""

    checkpoint_bytes: int = Field(default=20 * 1024**3, gt=0)
    small_file_bytes: int = Field(default=16 * 1024**2, gt=0)
    repository_files: int = Field(default=20_000, gt=0)
    header_bytes: int = Field(default=25_000_000, gt=0)
    tensors: int = Field(default=20_000, gt=0)
    parse_seconds: float = Field(default=30.0, gt=0)
    parse_rss_mib: int = Field(default=1024, gt=0)
    audit_seconds: float = Field(default=3600.0, gt=0)
    audit_rss_mib: int = Field(default=16_384, gt=0)
    request_seconds: float = Field(default=20.0, gt=0)
    pass_seconds: float = Field(default=1800.0, gt=0)
    download_seconds: float = Field(default=6 * 3600.0, gt=0)


class Email(_Section):
    """Alerts by e-mail."""

    host: str = ""
    port: int = Field(default=25, ge=1, le=65535)
    sender: str = "dife-scanner@localhost"
    recipients: tuple[str, ...] = ()
    username: str = ""
    security: Literal["none", "starttls", "tls"] = "none"
    timeout_seconds: float = Field(default=20.0, gt=0)

    @property
    def enabled(self) -> bool:
        """Whether there is both a server and somebody to write to."""
        return bool(self.host and self.recipients)


class Slack(_Section):
    """Alerts to a Slack channel, through an incoming webhook."""

    enabled: bool = False
    timeout_seconds: float = Field(default=20.0, gt=0)


class Alerts(_Section):
    """Where alerts are sent."""

    email: Email = Email()
    slack: Slack = Slack()


class Settings(BaseSettings):
    """Everything that can be set; see `dife config init` for the same with comments."""

    model_config = SettingsConfigDict(
        env_prefix="DIFE_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        toml_file=None,
    )

    home: Path = Field(default_factory=lambda: platformdirs.user_data_path(APP))
    endpoint: str = DEFAULT_ENDPOINT
    interval_seconds: float = Field(default=1800.0, ge=1)
    overlap_seconds: float = Field(default=3600.0, ge=0)
    workers: int = Field(default=1, ge=1, le=64)
    device: str = "auto"
    budget: Budget = Budget.DEFAULT
    """What an audit may cost where the command line does not say."""
    discover: bool = True
    """Whether audits search for triggers nobody described, besides trying the signatures."""
    filters: tuple[str, ...] = ()
    """Replaces the built-in union of hub filters, e.g. `filter=open_clip`, `search=clip`."""
    signatures: tuple[Path, ...] = ()
    """Further trigger files besides the bundled library."""
    limits: Limits = Limits()
    alerts: Alerts = Alerts()

    @field_validator("endpoint")
    @classmethod
    def _http_only(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
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
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def config_path(home: Path) -> Path:
    """The settings file of a home."""
    return home / "config.toml"


def load(home: Path | None = None, **given: Any) -> Settings:
    """Read settings for `home` (or `DIFE_HOME`, or the platform's data directory).

    `given` are values from the command line; they win. Raises `SettingsError` naming the key,
    and `HomeUnwritable` for a home that belongs to somebody else.
    """
    where = (home or _default_home()).expanduser().absolute()
    path = config_path(where)
    _check_file(path, where)
    values = {key: value for key, value in given.items() if value is not None}
    read = _read(path, {"home": where, **values})
    # a plain `Settings`, which no longer depends on the file
    return Settings.model_construct(**{name: getattr(read, name) for name in Settings.model_fields})


def _default_home() -> Path:
    named = os.environ.get("DIFE_HOME")
    if named:
        return Path(named)
    return platformdirs.user_data_path(APP)


def _check_file(path: Path, home: Path) -> None:
    try:
        is_something_else = path.exists() and not path.is_file()
    except PermissionError as error:
        raise HomeUnwritable(
            f"{home} is not ours to look into", "check its owner, or use another --home"
        ) from error
    if is_something_else:
        raise SettingsError(f"{path} is not a file", "move it away or run `dife config init`")


def _read(path: Path, given: dict[str, Any]) -> Settings:
    class _FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return _FromFile(**given)
    except ValidationError as error:
        raise _invalid(error, path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} is not valid TOML: {error}", "correct it or run `dife config init`"
        ) from error
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}", "check its permissions"
        ) from error


def _invalid(error: ValidationError, path: Path) -> SettingsError:
    """The first of the values that are not allowed, in words."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "?"
    return SettingsError(
        f"setting `{key}` is not valid: {first['msg']}",
        f"check {path} and the DIFE_ environment variables",
    )


_TEMPLATE = """\
# Settings of DIFE Scanner. Take the # away from what you want to change; what stands there is the default.
# Every key can also be given in the environment, which wins: DIFE_WORKERS=2, DIFE_ALERTS__EMAIL__HOST=mail.example.org
# Passwords and tokens do not belong here: `dife info` shows where they are looked up.

# The hub to watch.
#endpoint = "https://huggingface.co"
# Seconds from one pass over the hub to the next.
#interval_seconds = 1800.0
# Each pass looks this many seconds further back than the last one saw, because listings arrive late.
#overlap_seconds = 3600.0
# Audits at the same time.
#workers = 1
# "auto", "cpu", "cuda", "cuda:1" or "mps".
#device = "auto"
# What an audit may cost: "quick", "default" or "deep". More pictures per drawing, longer searches.
#budget = "default"
# Search each checkpoint for triggers nobody described. Signatures alone are quicker and miss what they do not name.
#discover = true
# Replaces the built-in union of hub filters, e.g. ["filter=open_clip", "search=clip"].
#filters = []
# Further trigger files or folders besides the bundled signatures.
#signatures = []

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
# Reading headers and configurations, in a process of its own.
#parse_seconds = 30.0
#parse_rss_mib = 1024
# One audit, in a process of its own.
#audit_seconds = 3600.0
#audit_rss_mib = 16384
# One request to the hub, one pass over its listings, one checkpoint's download.
#request_seconds = 20.0
#pass_seconds = 1800.0
#download_seconds = 21600.0

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

# The address of the incoming webhook is the secret slack-webhook.
[alerts.slack]
#enabled = false
#timeout_seconds = 20.0
"""


def template() -> str:
    """A `config.toml` with every key, its default and what it does; as it stands it changes nothing."""
    return _TEMPLATE


# --- secrets --------------------------------------------------------------------------------------------------

SECRETS = ("hf-token", "smtp-password", "slack-webhook")


@dataclass(frozen=True)
class Secret:
    """A password or token, and where it was found. Printing it shows only the latter."""

    value: str
    source: str
    """`keyring`, `file PATH` or `environment NAME`; safe to show."""

    def __repr__(self) -> str:
        return f"Secret(source={self.source!r})"


def secret(name: str, home: Path) -> Secret | None:
    """Look `name` up: keyring, then a 0600 file (`DIFE_<NAME>_FILE` or `home/secrets/<name>`), then `DIFE_<NAME>`.

    Raises `SettingsError` for a secret file that others can read.
    """
    return _from_keyring(name) or _from_file(name, home) or _from_environment(name)


def _variable(name: str) -> str:
    return "DIFE_" + name.upper().replace("-", "_")


def _from_keyring(name: str) -> Secret | None:
    import keyring
    from keyring.errors import KeyringError

    try:
        value = keyring.get_password(APP, name)
    except (KeyringError, OSError, RuntimeError):  # headless machines have no backend
        return None
    return _found(value, "keyring")


def _from_file(name: str, home: Path) -> Secret | None:
    given = os.environ.get(_variable(name) + "_FILE")
    path = Path(given) if given else home / "secrets" / name
    try:
        _check_private(path)
        value = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        if not given:
            return None
        raise SettingsError(
            f"secret file {path} does not exist",
            f"create it or unset {_variable(name)}_FILE",
        ) from None
    except OSError as error:
        raise SettingsError(
            f"secret file {path} cannot be read: {error.strerror}", "check its owner"
        ) from error
    return _found(value, f"file {path}")


def _check_private(path: Path) -> None:
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"secret file {path} can be read by others", f"chmod 600 {path}")


def _from_environment(name: str) -> Secret | None:
    variable = _variable(name)
    value = os.environ.get(variable, "").strip()
    return _found(value, f"environment {variable}")


def _found(value: str | None, source: str) -> Secret | None:
    """An empty secret is none."""
    if not value:
        return None
    return Secret(value, source)
