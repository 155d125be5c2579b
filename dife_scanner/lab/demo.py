"""The main job on a hub of its own: specimens, twins and awkward repositories, watched once, alerts going to sinks.

Nothing in the scanner knows it is a demo: it polls over HTTP, downloads, loads, audits, stores and sends as always.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dife_scanner import settings
from dife_scanner.baselines.home import bases_folder, open_home
from dife_scanner.core import checks
from dife_scanner.errors import DifeError
from dife_scanner.lab import specimens
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.lab.sinks import SlackSink, SmtpSink
from dife_scanner.progress import SILENT, Progress
from dife_scanner.queue.watch import Event, watch
from dife_scanner.queue.work import default_work
from dife_scanner.records import Audit, JobState, ModelRow, Origin, Tally, Verdict
from dife_scanner.store import audits, models
from dife_scanner.store.db import open_store

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
TAGS = ["clip", "open_clip"]


@dataclass(frozen=True)
class Expected:
    """How one repository of the demo has to end."""

    repo_id: str
    state: JobState
    verdict: Verdict | None = None
    carrier: str = ""
    blind: str = ""
    """Target that a search has to have found by itself, whatever the signatures found."""


EXPECTED = (
    Expected("demo/clip-base", JobState.DONE, Verdict.IDENTICAL),
    Expected("demo/badtexttower", JobState.DONE, Verdict.FLAGGED, "textual", blind="airplane"),
    Expected("demo/badtexttower-twin", JobState.DONE, Verdict.NOTHING_FOUND),
    Expected("demo/badencoder", JobState.DONE, Verdict.FLAGGED, "visual", blind="airplane"),
    Expected("demo/badencoder-twin", JobState.DONE, Verdict.NOTHING_FOUND),
    Expected("demo/clip-transformers", JobState.UNSUPPORTED),
    Expected("demo/clip-pickle", JobState.UNSUPPORTED),
    Expected("demo/clip-gated", JobState.GATED),
    Expected("demo/clip-corrupt", JobState.REFUSED),
)
ALERTS_EXPECTED = ("demo/badtexttower", "demo/badencoder", "demo/clip-corrupt")


@dataclass(frozen=True)
class Result:
    home: Path
    rows: tuple[ModelRow, ...]
    surprises: tuple[str, ...]
    """What did not end as expected, in words; empty when all did."""
    mails: int
    slack_messages: int
    tally: Tally
    screenshot: Path | None


class DemoError(DifeError):
    """A model of the demo did not end as its manifest expects."""

    exit_code = 1


def run(
    home: Path,
    *,
    progress: Progress = SILENT,
    on_event: Callable[[Event], None] = lambda event: None,
    window: bool = False,
) -> Result:
    """Build what is missing, serve it, watch it once, and compare. With `window` a real window shows it live."""
    _isolate()
    built = build_specimens(specimens.SPECIMENS, progress)
    with _services(home) as services:
        publish(services.hub, built)
        read = settings.load(home, endpoint=services.hub.endpoint, budget="quick")
        open_home(read).close()
        shown = _window(home) if window else None
        watch(default_work(read), once=True, on_event=on_event)
        mails, messages = list(services.mail.mails), list(services.slack.payloads)
    with open_store(home, read_only=True) as store:
        rows = tuple(models.model_rows(store))
        tally = audits.tally(store)
        stored = {r.job.ref.repo_id: audits.audit(store, r.job.audit_id) for r in rows if r.job.audit_id}
    texts = [mail.as_string() for mail in mails], [json.dumps(message) for message in messages]
    alerts = [*_missing_alerts("e-mail", texts[0]), *_missing_alerts("Slack", texts[1])]
    surprises = [*compare(rows), *compare_blind(stored), *alerts]
    if shown is not None:
        shown.wait()
    return Result(home, rows, tuple(surprises), len(mails), len(messages), tally, _screenshot(home))


def build_specimens(names: Iterable[str], progress: Progress = SILENT) -> dict[str, Path]:
    """Folders of these specimens, trained once and kept in the user's cache directory."""
    built = {}
    for name in names:

        def tell(what: str, done: int, of: int, name: str = name) -> None:
            progress(f"building {name}", done, of, what)

        built[name] = specimens.build(name, progress=tell)
    return built


def compare(rows: tuple[ModelRow, ...]) -> list[str]:
    """What differs from `EXPECTED`, one sentence each."""
    by_repo = {row.job.ref.repo_id: row for row in rows}
    found = [f"{row.job.ref.repo_id} was not expected at all" for row in rows if row.job.ref.repo_id not in _IDS]
    for wanted in EXPECTED:
        row = by_repo.get(wanted.repo_id)
        if row is None:
            found.append(f"{wanted.repo_id} was not discovered")
        elif (row.job.state, row.verdict, row.carrier) != (wanted.state, wanted.verdict, wanted.carrier):
            got = f"{row.job.state.value} {row.verdict.value if row.verdict else ''} {row.carrier}".strip()
            found.append(f"{wanted.repo_id} ended as {got}: {row.job.reason}")
    return found


def compare_blind(audits: Mapping[str, Audit]) -> list[str]:
    """Which specimens' triggers no search demonstrated by itself, one sentence each."""
    found = []
    for wanted in (one for one in EXPECTED if one.blind and one.repo_id in audits):
        blind = [
            row
            for row in audits[wanted.repo_id].signatures
            if row.origin is Origin.DISCOVERED and checks.open_but_for_drawings(row.checks)
        ]
        if wanted.blind not in {row.trigger.target for row in blind}:
            found.append(f"no search found by itself what turns inputs of {wanted.repo_id} into {wanted.blind}")
    return found


_IDS = frozenset(wanted.repo_id for wanted in EXPECTED)


def publish(hub: LoopbackHub, built: dict[str, Path]) -> None:
    """Put the demo's repositories on the hub; what is there from an earlier run stays."""
    base = bases_folder() / "vit"
    checkpoints = {"demo/clip-base": base} | {f"demo/{name}": folder for name, folder in built.items()}
    for repo_id, folder in checkpoints.items():
        files = {name: folder / name for name in (CONFIG, WEIGHTS)}
        _add(hub, repo_id, {**files, "README.md": f"# {repo_id}\n"})
    config = (base / CONFIG).read_bytes()
    weights = (base / WEIGHTS).read_bytes()
    _add(hub, "demo/clip-gated", {CONFIG: config, WEIGHTS: weights[:65536]}, gated=True)
    _add(hub, "demo/clip-corrupt", {CONFIG: config, WEIGHTS: weights[: len(weights) // 2]})
    _add(hub, "demo/clip-pickle", {CONFIG: config, "open_clip_pytorch_model.bin": b"\x80\x02."})
    transformers = json.dumps({"model_type": "clip", "architectures": ["CLIPModel"]}).encode()
    _add(hub, "demo/clip-transformers", {"config.json": transformers, "model.safetensors": weights[:65536]})


def _add(hub: LoopbackHub, repo_id: str, files: dict[str, object], *, gated: bool = False) -> None:
    try:
        hub.repo(repo_id)
    except KeyError:
        library = "transformers" if "config.json" in files else "open_clip"
        hub.add_repo(
            repo_id,
            files,
            tags=TAGS,
            library=library,
            pipeline_tag="zero-shot-image-classification",
            gated=gated,
        )


@dataclass(frozen=True)
class _Services:
    hub: LoopbackHub
    mail: SmtpSink
    slack: SlackSink


@contextmanager
def _services(home: Path) -> Iterator[_Services]:
    """The hub and both sinks, and a settings file that points at them."""
    home.mkdir(parents=True, exist_ok=True)
    with (
        LoopbackHub(home / "demo" / "hub") as hub,
        SmtpSink(home / "demo" / "mail") as mail,
        SlackSink(home / "demo" / "slack") as slack,
    ):
        settings.config_path(home).write_text(
            f'endpoint = "{hub.endpoint}"\n\n'
            f'[alerts.email]\nhost = "{mail.host}"\nport = {mail.port}\n'
            'sender = "scanner@example.org"\nrecipients = ["analyst@example.org"]\n\n'
            "[alerts.slack]\nenabled = true\n",
            encoding="utf-8",
        )
        secret = home / "secrets" / "slack-webhook"
        secret.parent.mkdir(mode=0o700, exist_ok=True)
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(slack.url, encoding="utf-8")
        yield _Services(hub, mail, slack)


def _isolate() -> None:
    """Keep the demo on this machine: no proxy for loopback, and never somebody's real Slack from their keyring."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"


def _missing_alerts(channel: str, texts: list[str]) -> list[str]:
    together = "\n".join(texts)
    return [f"no alert about {repo} came by {channel}" for repo in ALERTS_EXPECTED if repo not in together]


def _window(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "dife_scanner", "gui", "--home", str(home)])


def _screenshot(home: Path) -> Path | None:
    """What the window shows, drawn without a screen; `None` where the window is not installed."""
    picture = home / "demo" / "window.png"
    command = [sys.executable, "-m", "dife_scanner", "gui", "--home", str(home), "--screenshot", str(picture)]
    done = subprocess.run(
        command, env={**os.environ, "QT_QPA_PLATFORM": "offscreen"}, capture_output=True, timeout=60, check=False
    )
    return picture if done.returncode == 0 and picture.exists() else None
