"""Proxies and certificates of the environment: honoured, or an error that names the variable."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dife_scanner.errors import HubUnavailable, UnusableEnvironment
from dife_scanner.hub import Hub, environment
from dife_scanner.hub.session import session, tools
from dife_scanner.lab.loopback import LoopbackHub

Connect = Callable[..., Hub]
AddClip = Callable[..., object]
ASSETS = Path(__file__).parents[1] / "assets"
ONE, TWO = ASSETS / "certificate-one.pem", ASSETS / "certificate-two.pem"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No proxy and no certificates set, and no client kept from before or for later."""
    for name in (*environment.CERTIFICATES, *PROXIES, *(name.lower() for name in PROXIES)):
        monkeypatch.delenv(name, raising=False)
    tools().close_session()
    yield
    tools().close_session()


@pytest.mark.parametrize(
    ("name", "value", "trouble"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:7890", "kind 'socks'"),
        ("all_proxy", "ftp://127.0.0.1", "kind 'ftp'"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1", "socksio"),
        ("HTTP_PROXY", "http://me:secret@a:b:c", "cannot be read"),
        ("http_proxy", "http://", "no valid host"),
        ("HTTP_PROXY", "127.0.0.1:99999", "no valid host"),
        ("HTTP_PROXY", f"http://{'a' * 70}.com:1", "no valid host"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(
    name: str,
    value: str,
    trouble: str,
    hub: Hub,
    lab: LoopbackHub,
    add_clip: AddClip,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_clip()
    monkeypatch.setenv(name, value)
    with pytest.raises(UnusableEnvironment, match=trouble) as caught:
        hub.info("org/clip")
    told = f"{caught.value.what} {caught.value.advice}"
    assert f"variable {name} " in told and f"unset {name}" in told and "secret" not in told
    assert not lab.requests
    monkeypatch.delenv(name)
    assert hub.info("org/clip")  # in the same process, once it is gone


def test_proxies_that_no_proxy_switches_off_are_not_looked_at(
    hub: Hub, add_clip: AddClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_clip()
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:7890")
    monkeypatch.setenv("NO_PROXY", "*")
    assert hub.info("org/clip")


@pytest.mark.parametrize("name", environment.CERTIFICATES)
def test_certificates_that_are_not_there_are_named_also_where_none_is_needed(
    name: str,
    hub: Hub,
    add_clip: AddClip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_clip()
    empty, text = tmp_path / "empty", tmp_path / "text.pem"
    empty.mkdir()
    text.write_text("no certificate\n")
    for value in (tmp_path / "gone.pem", empty, text):
        monkeypatch.setenv(name, str(value))
        with pytest.raises(UnusableEnvironment) as caught:
            hub.info("org/clip")
        assert f"the variable {name} names {value}" in caught.value.what
    folder = tmp_path / "hashed"
    folder.mkdir()
    (folder / "0a1b2c3d.0").write_bytes(ONE.read_bytes())
    monkeypatch.setenv(name, str(folder if name == "SSL_CERT_DIR" else ONE))
    assert hub.info("org/clip")


def test_the_certificates_of_every_variable_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.certificates() is True
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ONE))
    trusted = session()._transport._pool._ssl_context
    assert trusted.verify_mode is ssl.CERT_REQUIRED and trusted.check_hostname
    assert trusted.cert_store_stats()["x509"] == 1
    monkeypatch.setenv("SSL_CERT_FILE", str(TWO))
    both = environment.certificates()
    assert isinstance(both, ssl.SSLContext) and both.cert_store_stats()["x509"] == 2


def test_whatever_else_keeps_a_client_from_being_made_is_one_error(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("out of \x1b[31mluck")

    monkeypatch.setattr(tools().httpx, "Client", broken)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(UnusableEnvironment, match="RuntimeError: out of luck") as caught:
        hub.info("org/clip")
    assert "NO_PROXY" in caught.value.advice


def test_a_proxy_that_is_not_there_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    with pytest.raises(HubUnavailable, match="cannot be reached") as caught:
        connect(endpoint="http://hub.example", tries=1).info("org/clip")
    assert "proxy of HTTP_PROXY" in caught.value.advice


def test_a_host_that_has_no_name_is_no_crash(connect: Connect) -> None:
    with pytest.raises(HubUnavailable, match="no name of a host"):
        connect(endpoint=f"http://{'a' * 70}.example", tries=1).info("org/clip")


def test_variables_of_the_hubs_own_client_are_named(
    connect: Connect, lab: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess
    import sys

    script = (
        "from pathlib import Path\nfrom dife_scanner.hub import Hub\n"
        "from dife_scanner.errors import UnusableEnvironment\n"
        "try:\n    Hub('http://127.0.0.1:9', cache=Path('nowhere'))\n"
        "except UnusableEnvironment as error:\n    print(error.what, error.advice)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "HF_HUB_DOWNLOAD_TIMEOUT": "soon"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'soon'" in done.stdout and "set are: HF_HUB_DOWNLOAD_TIMEOUT" in done.stdout
