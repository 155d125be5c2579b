"""Where secrets are looked up, what is taken of what lies there, and that they stay out of sight."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.core
import keyring.errors
import pytest

from dife_scanner import secrets
from dife_scanner.errors import SettingsError
from dife_scanner.secrets import secret
from dife_scanner.settings import APP, load

TOKEN = "hf_abcDEF123"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variables and no keyring of the machine that runs the test, and none that an earlier test left hanging."""
    for name in ("HOME", "HF_TOKEN", "HF_TOKEN_FILE", "SMTP_PASSWORD", "SLACK_WEBHOOK"):
        monkeypatch.delenv(f"DIFE_{name}", raising=False)
    monkeypatch.setattr(secrets, "_keyring", secrets._Keyring())
    secrets._warn.cache_clear()
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())
    yield
    keyring.set_keyring(before)


class Wallet(keyring.backend.KeyringBackend):
    """A keyring in memory. It has no priority, so that keyring never chooses it by itself, in another test."""

    def __init__(self, **held: str) -> None:
        super().__init__()
        self.held = held

    def get_password(self, service: str, username: str) -> str | None:
        assert service == APP
        return self.held.get(username.replace("-", "_"))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


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


# --- one check for every place --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        TOKEN.encode(),
        f"{TOKEN}\r\n".encode(),
        b"\xef\xbb\xbf" + TOKEN.encode() + b"\n",
        TOKEN.encode("utf-16"),
        b"\xfe\xff" + f"{TOKEN}\r\n".encode("utf-16-be"),
    ],
    ids=["plain", "ends a line", "byte order mark", "UTF-16", "UTF-16, big end first"],
)
def test_a_file_of_whatever_editor_holds_the_secret(tmp_path: Path, content: bytes) -> None:
    secret_file(tmp_path, "").write_bytes(content)
    found = secret("hf-token", tmp_path)
    assert found is not None
    assert found.value == TOKEN


BAD = {
    "non-ASCII": f"{TOKEN}é",
    "two lines": f"{TOKEN}\nhf_other",
    "control character": f"{TOKEN[:5]}\x07{TOKEN[5:]}",
    "a zero": f"{TOKEN[:5]}\0{TOKEN[5:]}",
    "a mark inside": f"{TOKEN}\ufeff{TOKEN}",
    "a line separator": f"{TOKEN}\u2028{TOKEN}",
}


class SlowWallet(Wallet):
    """A keyring that answers once it is allowed to."""

    def __init__(self, **held: str) -> None:
        super().__init__(**held)
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.set()
        self.may_answer.wait()
        return super().get_password(service, username)


def test_two_threads_that_ask_at_once_both_get_the_secret(tmp_path: Path) -> None:
    wallet = SlowWallet(hf_token=TOKEN)
    keyring.set_keyring(wallet)
    found: list[secrets.Secret | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(secret("hf-token", tmp_path)))
        for _ in range(2)
    ]
    threads[0].start()
    wallet.asked.wait()
    threads[1].start()
    threads[1].join(0.2)
    assert threads[1].is_alive(), "it waits for its turn"
    wallet.may_answer.set()
    for thread in threads:
        thread.join()
    assert [one.value for one in found if one] == [TOKEN, TOKEN]


PLACES = ("keyring", "file", "environment")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_what_cannot_be_a_secret_is_an_error_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, value: str
) -> None:
    if place == "keyring":
        keyring.set_keyring(Wallet(hf_token=value))
    elif place == "file":
        secret_file(tmp_path, value)
    elif "\0" in value:
        pytest.skip("no variable can hold it")
    else:
        monkeypatch.setenv("DIFE_HF_TOKEN", value)
    told = refusal(tmp_path)
    assert "hf-token" in told.what
    assert place in told.what


@pytest.mark.parametrize(
    "content",
    [b"\xff\xff" + TOKEN.encode(), TOKEN.encode("utf-16-le"), b"\xff\xfe" + TOKEN.encode()[:3],
     TOKEN.encode() * 5000],
    ids=["no text", "UTF-16 without its mark", "half a character", "long"],
)  # fmt: skip
def test_a_file_that_holds_no_text_is_named(tmp_path: Path, content: bytes) -> None:
    path = secret_file(tmp_path, "")
    path.write_bytes(content)
    assert str(path) in refusal(tmp_path).what


def refusal(home: Path) -> SettingsError:
    """The error that the secret `hf-token` ends in; neither it nor what it came from holds the value."""
    with pytest.raises(SettingsError) as caught:
        secret("hf-token", home)
    assert caught.value.exit_code == 64
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for text in (caught.value.what, caught.value.advice):
        assert TOKEN[:5] not in text
    return caught.value


# --- keyrings that do not work --------------------------------------------------------------------------------


class Broken(Wallet):
    """A backend that raises what it likes."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def get_password(self, service: str, username: str) -> str | None:
        raise self._error


class Hanging(Wallet):
    """A backend that does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.asked += 1
        time.sleep(3)
        return "too late"


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'gone'"),
        ValueError(f"cannot decode {TOKEN}"),
        keyring.errors.KeyringLocked("locked"),
        SystemExit(1),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_keyring_that_raises_is_passed_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    secret_file(tmp_path, "from-file")
    keyring.set_keyring(Broken(error))
    for _ in range(2):
        found = secret("hf-token", tmp_path)
        assert found is not None
        assert found.value == "from-file"
    (warned,) = caplog.messages
    assert type(error).__name__ in warned
    assert "taken from files and the environment" in warned
    assert TOKEN not in warned


def test_a_keyring_that_is_named_and_not_there_is_named_in_the_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "nosuch.module.Keyring")
    monkeypatch.setenv("DIFE_HF_TOKEN", TOKEN)
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    found = secret("hf-token", tmp_path)
    assert found is not None
    assert found.source == "environment DIFE_HF_TOKEN"
    assert "PYTHON_KEYRING_BACKEND" in caplog.text
    assert "nosuch" in caplog.text


def test_a_keyring_that_hangs_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(secrets, "KEYRING_SECONDS", 0.2)
    monkeypatch.setenv("DIFE_HF_TOKEN", TOKEN)
    hanging = Hanging()
    keyring.set_keyring(hanging)
    for name in secrets.SECRETS:
        found = secret(name, tmp_path)
        assert (found is not None) is (name == "hf-token")
    assert hanging.asked == 1
    assert "did not answer" in caplog.text


def test_no_keyring_at_all_is_no_news(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "dife_scanner"):
        assert secret("hf-token", tmp_path) is None
    assert not caplog.messages
