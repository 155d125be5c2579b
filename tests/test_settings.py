"""What can be set, who wins, and what is refused by name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from dife_scanner import settings
from dife_scanner.errors import SettingsError
from dife_scanner.settings import Settings, load, template


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables of the machine that runs the test."""
    for name in ("HOME", "WORKERS"):
        monkeypatch.delenv(f"DIFE_{name}", raising=False)


def write(home: Path, text: str) -> Path:
    settings.config_path(home).write_text(text, encoding="utf-8")
    return home


# --- precedence -----------------------------------------------------------------------------------------------


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    read = load(tmp_path)
    assert read.home == tmp_path
    assert (read.endpoint, read.workers, read.alerts.email.enabled) == (
        "https://huggingface.co",
        0,
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
    assert (load(tmp_path).home, load(tmp_path).workers) == (tmp_path, 0)


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
        ("workers = -1", "workers"),
        ("workers = 'many'", "workers"),
        ("[alerts.email]\nport = 70000", "alerts.email.port"),
        ("[alerts.email]\nsecurity = 'ssl'", "alerts.email.security"),
        ("endpoint = 'ftp://example.org'", "endpoint"),
        ("filters = 'search=clip'", "filters"),
        ("filters = [1]", "filters.0"),
        ("limits = 5", "limits"),
        ("alerts = []", "alerts"),
        ("device = 1", "device"),
        ("interval_seconds = inf", "interval_seconds"),
    ],
)
def test_what_is_not_allowed_is_named(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(SettingsError, match=rf"`{re.escape(key)}`") as caught:
        load(write(tmp_path, text))
    assert str(settings.config_path(tmp_path)) in caught.value.advice
    assert caught.value.exit_code == 64


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("search=clip", ("search=clip",)),
        ("filter=open_clip, search=clip", ("filter=open_clip", "search=clip")),
        ('["a,b", "c"]', ("a,b", "c")),
        ("5", ("5",)),
        ("", ()),
    ],
)
def test_a_list_in_the_environment_is_written_with_commas_or_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, filters: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DIFE_FILTERS", text)
    monkeypatch.setenv("DIFE_ALERTS__EMAIL__RECIPIENTS", "a@example.org,b@example.org")
    read = load(tmp_path)
    assert read.filters == filters
    assert read.alerts.email.recipients == ("a@example.org", "b@example.org")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DIFE_WORKERS", "-1", "greater than or equal to 0"),
        ("DIFE_WORKERS", "two", "integer"),
        ("DIFE_FILTERS", "[broken", "first,second"),
        ("DIFE_ALERTS__EMAIL__RECIPIENTS", "[1, 2", "first,second"),
        ("DIFE_FILTERS", "[" * 9000, "first,second"),
        ("DIFE_LIMITS", "5", "dictionary"),
        ("DIFE_LIMITS", "tensors", "dictionary"),
        ("DIFE_LIMITS", '{"tensors": "many"}', "integer"),
        ("DIFE_LIMITS__TENSOR", "5", "`limits.tensor`"),
        ("DIFE_ALERTS__EMAIL", "a@example.org", "dictionary"),
        ("DIFE_DISCOVER", "perhaps", "boolean"),
        ("DIFE_BUDGET", "huge", "'quick'"),
        ("DIFE_INTERVAL_SECONDS", "inf", "finite"),
        ("DIFE_INTERVAL_SECONDS", "nan", "finite"),
        ("DIFE_LIMITS__AUDIT_SECONDS", "1e300", "less than"),
        ("DIFE_ENDPOINT", "http://[::1", "IPv6"),
        ("DIFE_ENDPOINT", "http://hub:99999", "ort"),
        ("DIFE_ENDPOINT", "http://", "host"),
        ("DIFE_ENDPOINT", "http://hub\tx", "control"),
    ],
)
def test_a_bad_value_in_the_environment_names_the_variable_and_the_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=re.escape(words)) as caught:
        load(tmp_path)
    assert caught.value.what.startswith(f"{variable}: ")
    assert caught.value.exit_code == 64


def test_a_section_that_is_a_value_and_has_a_key_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFE_ALERTS__EMAIL", "5")
    monkeypatch.setenv("DIFE_ALERTS__EMAIL__HOST", "mail.example.org")
    with pytest.raises(SettingsError, match="DIFE_ALERTS__EMAIL"):
        load(tmp_path)


def test_a_home_of_nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFE_HOME", "~no-such-user/home")
    with pytest.raises(SettingsError, match="~no-such-user"):
        load()


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


# --- keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('confirm = "f"', "confirm and false_positive are both f"),
        ('undo = "j"', "stays what it is"),
        ('undo = "ctrl-u"', "keys.undo"),
        ('explode = "e"', "there is no such setting"),
    ],
)
def test_a_wrong_or_doubled_key_is_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(write(tmp_path, f"[keys]\n{line}\n"))
    assert says in f"{error.value.what} {error.value.advice}"


def test_two_keys_can_change_places(tmp_path: Path) -> None:
    keys = load(write(tmp_path, '[keys]\nundo = "Z"\nredo = "z"\n')).keys
    assert (keys.undo, keys.redo, keys.confirm) == ("Z", "z", "c")
