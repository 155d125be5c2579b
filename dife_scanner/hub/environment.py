"""Proxies and certificates that the environment names, and what is wrong with them.

httpx reads the proxies itself and raises whatever comes up. Here each variable is looked at first, so that an error can
name the one that has to be changed.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.request import getproxies

from dife_scanner.errors import UnusableEnvironment
from dife_scanner.plain import plain

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
"""Certificates of every one that is set count. Programs built on requests read the last one only."""
_PROXIED = ("http", "https", "all")
_PROXY_KINDS = ("http", "https", "socks5", "socks5h")
_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.\d+")
"""How OpenSSL names the certificates in a folder."""
_MOST_PORT = 65535


def certificates() -> ssl.SSLContext | bool:
    """What to verify hubs with: all certificates that a variable names, else those of the system (`True`).

    Raises `UnusableEnvironment`.
    """
    named = {name: os.environ[name] for name in CERTIFICATES if os.environ.get(name)}
    if not named:
        return True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name, value in named.items():
        _load(context, name, value)
    return context


def _load(context: ssl.SSLContext, name: str, value: str) -> None:
    try:
        if name == "SSL_CERT_DIR" or Path(value).is_dir():
            _check_folders(name, value)
            context.load_verify_locations(capath=value)
        else:
            context.load_verify_locations(cafile=value)
    except ssl.SSLError as error:  # before OSError, whose subclass it is
        raise _bad_certificates(name, value, "holds no certificate that can be read") from error
    except OSError as error:
        raise _bad_certificates(name, value, f"cannot be read: {error.strerror}") from error


def _check_folders(name: str, value: str) -> None:
    """Look for one certificate: OpenSSL takes a folder without any, and then trusts nobody."""
    for folder in value.split(os.pathsep):
        if any(_HASHED_NAME.fullmatch(entry.name) for entry in Path(folder).iterdir()):
            return
    raise _bad_certificates(
        name, value, "holds no certificate under the name that OpenSSL looks for (`openssl rehash`)"
    )


def _bad_certificates(name: str, value: str, trouble: str) -> UnusableEnvironment:
    return UnusableEnvironment(
        f"the variable {name} names {plain(value, 120)}, which {trouble}",
        f"let it name certificates in PEM form, or unset it: unset {name}",
    )


def proxy_variables() -> tuple[str, ...]:
    """Names of the variables that proxies come from; empty where none is used."""
    return tuple(name for name, _ in _proxies())


def check_proxies(httpx: Any) -> None:
    """Raise `UnusableEnvironment` where no client can be made with a proxy that is set."""
    for name, value in _proxies():
        trouble = _trouble(httpx, value)
        if trouble:
            raise UnusableEnvironment(
                f"the variable {name} {trouble}",
                f"write it as http://HOST:PORT, or unset it: unset {name}",
            )


def _proxies() -> list[tuple[str, str]]:
    """Variable and address of each proxy, as httpx takes them."""
    found = getproxies()
    if "*" in [host.strip() for host in found.get("no", "").split(",")]:
        return []
    proxies = []
    for scheme in _PROXIED:
        value = found.get(scheme, "")
        if value:
            proxies.append((_variable(f"{scheme}_proxy"), value))
    return proxies


def _variable(name: str) -> str:
    """The variable as it is written here; the lower-case one wins where both are set."""
    if name in os.environ:
        return name
    return name.upper()


def _trouble(httpx: Any, value: str) -> str:
    """What is wrong with a proxy's address, without its password; empty where nothing is."""
    address = value if "://" in value else f"http://{value}"
    kind = address.partition("://")[0].lower()
    if kind not in _PROXY_KINDS:
        return f"names a proxy of the kind {plain(kind, 20)!r}, which is none of {', '.join(_PROXY_KINDS)}"
    try:
        url = httpx.URL(address)
        if not _is_host(url.host) or not 0 < (url.port or 1) <= _MOST_PORT:
            return "names a proxy whose address has no valid host or port"
        # its own context, as building the system's takes a while
        httpx.HTTPTransport(proxy=address, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)).close()
    except ImportError:
        return "names a SOCKS proxy, for which the package socksio is not installed (`pip install socksio`)"
    except (httpx.InvalidURL, ValueError):
        return "names a proxy whose address cannot be read"
    return ""


def _is_host(host: str) -> bool:
    """Whether a name can be looked up at all."""
    try:
        return bool(host.encode("idna")) and " " not in host
    except UnicodeError:
        return False


def unusable(error: Exception, doing: str, suspects: Iterable[str]) -> UnusableEnvironment:
    """For an error nobody foresaw while `doing`: names those of the `suspects` that are set."""
    names = [name for name in suspects if os.environ.get(name)]
    return UnusableEnvironment(
        f"{doing} failed: {type(error).__name__}: {plain(str(error), 200)}",
        f"look at the environment; set are: {', '.join(names) or 'none of the usual variables'}",
    )
