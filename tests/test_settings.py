"""What can be set, who wins, what is refused by name, and that secrets stay out of sight."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import keyring.backends.fail
import pytest
from pydantic import BaseModel

from dife_scanner import secrets, settings
from dife_scanner.errors import SettingsError
from dife_scanner.secrets import secret
from dife_scanner.settings import Settings, load, template


class Wallet(keyring.backend.KeyringBackend):
    """A keyring in memory."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, **held: str) -> None:
        super().__init__()
        self.held = held

    def get_password(self, service: str, username: str) -> str | None:
        assert service == settings.APP
        return self.held.get(username.replace("-", "_"))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variables and no keyring of the machine that runs the test."""
    for name in ("HOME", "WORKERS", "HF_TOKEN", "HF_TOKEN_FILE", "SMTP_PASSWORD", "SLACK_WEBHOOK"):
        monkeypatch.delenv(f"DIFE_{name}", raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())
    yield
    keyring.set_keyring(before)


def write(home: Path, text: str) -> Path:
    settings.config_path(home).write_text(text, encoding="utf-8")
    return home


# --- precedence -----------------------------------------------------------------------------------------------


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    read = load(tmp_path)
    assert read.home == tmp_path
    assert (read.endpoint, read.workers, read.alerts.email.enabled) == (
        "https://huggingface.co",
        1,
        False,
    )


def test_command_line_beats_environment_beats_file_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "workers = 2\ninterval_seconds = 60\n")
    assert load(tmp_path).workers == 2
    monkeypatch.setenv("DIFE_WORKERS", "3")
    assert load(tmp_path).workers == 3
    assert load(tmp_path, workers=4).workers == 4
    assert load(tmp_path, workers=None).workers == 3  # an option that was not given
    assert load(tmp_path).interval_seconds == 60


def test_the_environment_reaches_into_sections_and_keeps_the_rest_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, '[alerts.email]\nhost = "mail.example.org"\nrecipients = ["a@example.org"]\n')
    monkeypatch.setenv("DIFE_ALERTS__EMAIL__PORT", "2525")
    email = load(tmp_path).alerts.email
    assert (email.host, email.port, email.recipients, email.enabled) == (
        "mail.example.org",
        2525,
        ("a@example.org",),
        True,
    )


def test_the_home_comes_from_the_environment_unless_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write(other, "workers = 5\n")
    monkeypatch.setenv("DIFE_HOME", str(other))
    assert (load().home, load().workers) == (other, 5)
    assert (load(tmp_path).home, load(tmp_path).workers) == (tmp_path, 1)


def test_settings_are_frozen_and_endpoints_lose_their_slash(tmp_path: Path) -> None:
    read = load(tmp_path, endpoint="http://127.0.0.1:8000/")
    assert read.endpoint == "http://127.0.0.1:8000"
    with pytest.raises(ValueError, match="frozen"):
        read.workers = 2  # type: ignore[misc]


# --- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("wrokers = 2", "wrokers"),
        ("[limits]\ntensor = 1", "limits.tensor"),
        ("[alerts.email]\npasswort = 'x'", "alerts.email.passwort"),
        ("workers = 0", "workers"),
        ("workers = 'many'", "workers"),
        ("[alerts.email]\nport = 70000", "alerts.email.port"),
        ("[alerts.email]\nsecurity = 'ssl'", "alerts.email.security"),
        ("endpoint = 'ftp://example.org'", "endpoint"),
    ],
)
def test_what_is_not_allowed_is_named(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(SettingsError, match=rf"`{re.escape(key)}`") as caught:
        load(write(tmp_path, text))
    assert str(settings.config_path(tmp_path)) in caught.value.advice
    assert caught.value.exit_code == 64


def test_a_bad_value_in_the_environment_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFE_WORKERS", "-1")
    with pytest.raises(SettingsError, match="`workers`"):
        load(tmp_path)


@pytest.mark.parametrize(
    "content", [b"workers = ", b"[limits\n", b"workers = 1\nworkers = 2", b"\xff\xfe\x00"]
)
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    settings.config_path(tmp_path).write_bytes(content)
    with pytest.raises(SettingsError, match="not valid TOML") as caught:
        load(tmp_path)
    assert "config.toml" in caught.value.what


def test_something_that_is_no_file_is_named(tmp_path: Path) -> None:
    settings.config_path(tmp_path).mkdir()
    with pytest.raises(SettingsError, match=r"config\.toml is not a file"):
        load(tmp_path)


# --- the template ---------------------------------------------------------------------------------------------


def leaves(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= leaves(kind, f"{prefix}{name}.")
        elif name != "home":
            found[f"{prefix}{name}"] = field.get_default(call_default_factory=True)
    return found


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= (
            flat(value, f"{prefix}{name}.")
            if isinstance(value, dict)
            else {f"{prefix}{name}": value}
        )
    return found


def uncommented() -> str:
    return re.sub(r"^#(?=[a-z_]+ = )", "", template(), flags=re.MULTILINE)


def test_the_template_as_it_stands_changes_nothing(tmp_path: Path) -> None:
    plain = load(tmp_path)
    assert load(write(tmp_path, template())) == plain


def test_the_template_holds_every_key_with_its_default(tmp_path: Path) -> None:
    def listed(value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value

    assert flat(tomllib.loads(uncommented())) == {
        key: listed(value) for key, value in leaves(Settings).items()
    }
    plain = load(tmp_path)
    assert load(write(tmp_path, uncommented())) == plain


# --- secrets --------------------------------------------------------------------------------------------------


def secret_file(home: Path, value: str, mode: int = 0o600) -> Path:
    path = home / "secrets" / "hf-token"
    path.parent.mkdir(exist_ok=True)
    path.write_text(value + "\n")
    path.chmod(mode)
    return path


def test_a_secret_is_looked_up_in_keyring_then_file_then_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert secret("hf-token", tmp_path) is None
    monkeypatch.setenv("DIFE_HF_TOKEN", "from-environment")
    assert (found := secret("hf-token", tmp_path)) and (found.value, found.source) == (
        "from-environment",
        "environment DIFE_HF_TOKEN",
    )
    path = secret_file(tmp_path, "from-file")
    assert (found := secret("hf-token", tmp_path)) and (found.value, found.source) == (
        "from-file",
        f"file {path}",
    )
    keyring.set_keyring(Wallet(hf_token="from-keyring"))
    assert (found := secret("hf-token", tmp_path)) and (found.value, found.source) == (
        "from-keyring",
        "keyring",
    )


def test_a_secret_file_can_be_named_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "credential"
    monkeypatch.setenv("DIFE_HF_TOKEN_FILE", str(given))
    with pytest.raises(SettingsError, match="does not exist"):
        secret("hf-token", tmp_path)
    given.write_text("named")
    given.chmod(0o400)
    assert (found := secret("hf-token", tmp_path)) and found.value == "named"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_secret_that_others_can_read_is_refused(
    tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = secret_file(tmp_path, "open secret", mode)
    monkeypatch.setenv("DIFE_HF_TOKEN", "not used instead")
    with pytest.raises(SettingsError) as caught:
        secret("hf-token", tmp_path)
    assert str(path) in caught.value.what
    assert caught.value.advice == f"chmod 600 {path}"
    assert "open secret" not in str(caught.value.args)


def test_an_empty_secret_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret_file(tmp_path, "  ")
    monkeypatch.setenv("DIFE_HF_TOKEN", " ")
    keyring.set_keyring(Wallet(hf_token=""))
    assert secret("hf-token", tmp_path) is None


def test_a_secret_does_not_show_itself() -> None:
    held = secrets.Secret("hunter2", "keyring")
    for shown in (repr(held), str(held), f"{held}", repr([held]), "%s" % (held,)):  # noqa: UP031
        assert "hunter2" not in shown
        assert "keyring" in shown


def test_secrets_are_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in secrets.SECRETS:
        monkeypatch.setenv("DIFE_" + name.upper().replace("-", "_"), "hunter2")
    assert "hunter2" not in repr(load(tmp_path))
