"""Passwords and tokens: looked up where they are used, in the keyring, a private file or the environment; never stored.

Whatever place a secret comes from, it passes `_checked`. Its value is in no message and in no log.
"""

from __future__ import annotations

import codecs
import functools
import logging
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dife_scanner.errors import SettingsError, UnreadableSecret
from dife_scanner.settings import APP, PREFIX

log = logging.getLogger(__name__)

SECRETS = ("hf-token", "smtp-password", "slack-webhook", "slack-token", "deadman-url")

KEYRING_SECONDS = 8.0
"""A keyring that has not answered by then (a bus that hangs, a dialogue nobody sees) is passed over."""
_LARGEST_BYTES = 16_384
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BYTE_ORDER_MARK = "\ufeff"


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

    A keyring that does not work is passed over with a warning. Raises `SettingsError` for a secret file that others
    can read, and for a value that is not one line of printable ASCII.
    """
    return _from_keyring(name) or _from_file(name, home) or _from_environment(name)


def _variable(name: str) -> str:
    return PREFIX + name.upper().replace("-", "_")


# --- the three places -----------------------------------------------------------------------------------------


def _from_file(name: str, home: Path) -> Secret | None:
    given = os.environ.get(_variable(name) + "_FILE")
    path = Path(given) if given else home / "secrets" / name
    try:
        _check_private(path)
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        if not given:
            return None
        raise SettingsError(
            f"secret file {path} does not exist",
            f"create it or unset {_variable(name)}_FILE",
        ) from None
    except PermissionError as error:
        raise UnreadableSecret(
            f"secret file {path} cannot be read: {error.strerror}", "check its owner"
        ) from error
    except OSError as error:
        raise SettingsError(
            f"secret file {path} cannot be read: {error.strerror}", "name another, or remove it"
        ) from error
    source = f"file {path}"
    if len(content) > _LARGEST_BYTES:
        raise _unusable(name, source, f"is longer than {_LARGEST_BYTES:,} bytes")
    return _checked(name, _decoded(name, content, source), source)


def _check_private(path: Path) -> None:
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"secret file {path} can be read by others", f"chmod 600 {path}")


def _decoded(name: str, content: bytes, source: str) -> str:
    """Text of a file: UTF-16 where it begins with that encoding's mark, else UTF-8."""
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        # without the error it comes from, which holds the value
        raise _unusable(name, source, f"is not {encoding.upper()} text") from None


def _from_environment(name: str) -> Secret | None:
    variable = _variable(name)
    return _checked(name, os.environ.get(variable, ""), f"environment {variable}")


def _from_keyring(name: str) -> Secret | None:
    value = _keyring.password(name)
    return _checked(name, value, "keyring")


# --- one check for all ----------------------------------------------------------------------------------------


def _checked(name: str, value: str, source: str) -> Secret | None:
    """A secret without a byte order mark and space around it; an empty one is none. Raises `SettingsError`."""
    text = value.removeprefix(_BYTE_ORDER_MARK).strip()
    if not text:
        return None
    if len(text.splitlines()) > 1:
        raise _unusable(name, source, "has more than one line")
    if not text.isascii():
        raise _unusable(name, source, "has a character that is not ASCII")
    if not text.isprintable():
        raise _unusable(name, source, "has a control character")
    return Secret(text, source)


def _unusable(name: str, source: str, why: str) -> SettingsError:
    return SettingsError(
        f"the secret {name} ({source}) {why}",
        "write it there again: the value alone, on one line, in ASCII",
    )


# --- the keyring ----------------------------------------------------------------------------------------------


class _Keyring:
    """The system's keyring, asked in a thread, because backends hang and raise anything of their own."""

    def __init__(self) -> None:
        self._asking: threading.Thread | None = None
        self._lock = threading.Lock()

    def password(self, name: str) -> str:
        """What the keyring holds; empty where it holds nothing or does not work, the latter with a warning."""
        with (
            self._lock
        ):  # who asks meanwhile waits for his turn, and is not told that there is nothing
            return self._password(name)

    def _password(self, name: str) -> str:
        if self._asking is not None and self._asking.is_alive():
            return ""  # it hangs since an earlier question, and was warned about then
        answer: list[str] = []
        problem: list[str] = []
        self._asking = threading.Thread(
            target=_ask, args=(name, answer.append, problem.append), name="keyring", daemon=True
        )
        self._asking.start()
        self._asking.join(KEYRING_SECONDS)
        if self._asking.is_alive():
            problem = [f"it did not answer within {KEYRING_SECONDS:g} s"]
        for text in problem:
            _warn(text)
        return "".join(answer)


def _ask(name: str, answer: Callable[[str], None], problem: Callable[[str], None]) -> None:
    """Inside the thread: hand over what the keyring holds, or why it cannot be asked."""
    try:
        import keyring
        from keyring.errors import NoKeyringError

        try:
            value = keyring.get_password(APP, name)
        except NoKeyringError:  # headless machines have none
            return
    except BaseException as error:  # of whatever program the backend is
        problem(_told(error))
        return
    if value is None:
        return
    if not isinstance(value, str):
        problem(f"it answered with {type(value).__name__}, not with text")
        return
    answer(value)


def _told(error: BaseException) -> str:
    """What a backend raised; its words only where they cannot hold a secret."""
    if isinstance(error, ImportError):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__


@functools.cache  # once in a process is enough
def _warn(problem: str) -> None:
    named = os.environ.get("PYTHON_KEYRING_BACKEND")
    which = "the keyring"
    if named:
        which = f"the keyring that PYTHON_KEYRING_BACKEND names ({named})"
    log.warning(
        "%s cannot be used: %s; secrets are taken from files and the environment", which, problem
    )


_keyring = _Keyring()
