"""Secrets on their way: looked up at each send, and kept out of every error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from dife_scanner.plain import plain

SecretLookup = Callable[[], str | None]


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """`text` made plain, without any of `secrets` in it."""
    for secret in secrets:
        if len(secret) < 2:  # one character would be cut out of every word
            continue
        for form in (secret, quote(secret), quote(secret, safe="")):
            text = text.replace(form, "***")
    return plain(text, 300)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def without_address(text: str, address: str) -> str:
    """`text` made plain, without a secret address or a telling piece of it."""
    return without_secrets(text, parts_of(address))


def parts_of(address: str) -> list[str]:
    """The webhook address and its telling pieces."""
    parts = urlsplit(address)
    pieces = [piece for piece in parts.path.split("/") if len(piece) > 7]
    longest_first = sorted(pieces, key=len, reverse=True)
    return [address, f"{parts.path}?{parts.query}", parts.path, *longest_first]


def is_private_address(address: str) -> bool:
    """Whether it is encrypted or on this machine, with nothing in it that urllib would quote back in an error."""
    if not (address.isascii() and address.isprintable() and " " not in address):
        return False
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def reason_of(error: Exception) -> str:
    """What an error says of itself."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
