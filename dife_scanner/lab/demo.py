"""The main job on a hub of its own: specimens, twins and awkward repositories, watched once, alerts going to sinks.

Nothing in the scanner knows it is a demo: it polls over HTTP, downloads, loads, audits, stores and sends as always.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from dife_scanner import settings
from dife_scanner.baselines.home import bases_folder, open_home
from dife_scanner.core import checks
from dife_scanner.errors import DifeError, HomeUnwritable, UsageError
from dife_scanner.lab import specimens
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.lab.sinks import SlackSink, SmtpSink
from dife_scanner.progress import SILENT, Progress
from dife_scanner.queue.watch import Event, watch
from dife_scanner.queue.work import Work, default_work
from dife_scanner.records import (
    Audit,
    JobState,
    ModelRow,
    Origin,
    Tally,
    Verdict,
)
from dife_scanner.store import audits, models
from dife_scanner.store.db import Store, open_store

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
TAGS = ["clip", "open_clip"]
_FOLDER = "demo"
"""Within the home: hub, mails and messages. It is made first and removed last, so a home without it is no demo's."""
_LOCK = "demo.lock"


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
    Expected("demo/clip-onnx", JobState.UNSUPPORTED),
    Expected("demo/clip-pickle", JobState.REFUSED),
    Expected("demo/clip-gated", JobState.GATED),
    Expected("demo/clip-corrupt", JobState.FAILED),
    Expected("demo/clip-two-formats", JobState.REFUSED),
)
ALERTS_EXPECTED = (
    "demo/badtexttower",
    "demo/badencoder",
    "demo/clip-pickle",
    "demo/clip-two-formats",
)
_CALLS_A_PROGRAM = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."
"""A pickle that would run `true`, which does nothing, in whoever unpickles it."""


@dataclass(frozen=True)
class Result:
    """The outcome of a demo."""

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


@contextmanager
def own_home() -> Iterator[Path]:
    """The home of a demo that was given none, beside the user's own: empty, and kept until the next such demo.

    Raises `UsageError` where another demo is in it or somebody else's files are, and `HomeUnwritable`.
    """
    home = platformdirs.user_data_path(f"{settings.APP}-demo")
    lock = FileLock(home / _LOCK)
    try:
        with _written(home):
            home.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"another demo runs in {home}",
            "wait until it has ended, or give this one a folder of its own: --keep DIR",
        ) from error
    try:
        with _written(home):
            _empty(home)
        yield home
    finally:
        lock.release()


@contextmanager
def _written(home: Path) -> Iterator[None]:
    """Raises `HomeUnwritable` for an error of the disk."""
    try:
        yield
    except Timeout:  # which is an error of the disk by its class alone
        raise
    except OSError as error:
        raise HomeUnwritable(
            f"the demo's folder {home} cannot be written: {error.strerror or error}",
            "give the demo a folder that you can write: --keep DIR",
        ) from error


def _empty(home: Path) -> None:
    """Remove what an earlier demo left, its mark last. Raises `UsageError` where anything else lies there."""
    found = [path for path in home.iterdir() if path.name not in (_FOLDER, _LOCK)]
    if found and not (home / _FOLDER).is_dir():
        raise UsageError(
            f"no demo made what lies in {home}",
            "move it away, or give the demo a folder of its own: --keep DIR",
        )
    for path in (*found, home / _FOLDER):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def run(
    home: Path,
    *,
    progress: Progress = SILENT,
    on_event: Callable[[Event], None] = lambda event: None,
    window: bool = False,
) -> Result:
    """Build what is missing, serve it, watch it once, and compare. With `window` a real window shows it live.

    Raises `SpecimenFailed` where a specimen cannot be built.
    """
    isolate()
    built = build_specimens(specimens.SPECIMENS, progress)
    with services(home) as running:
        publish(running.hub, built)
        work = work_of(home, running)
        open_home(work.settings).close()
        shown = _window(home) if window else None
        watch(work, once=True, on_event=on_event)
        mails = [mail.as_string() for mail in running.mail.mails]
        messages = [json.dumps(payload) for payload in running.slack.payloads]
    with open_store(home, read_only=True) as store:
        rows = tuple(models.model_rows(store))
        tally = audits.tally(store)
        stored = _audits(store, rows)
    surprises = [
        *compare(rows),
        *compare_blind(stored),
        *_missing_alerts("e-mail", mails),
        *_missing_alerts("Slack", messages),
    ]
    if shown is not None:
        shown.wait()
    return Result(
        home=home,
        rows=rows,
        surprises=tuple(surprises),
        mails=len(mails),
        slack_messages=len(messages),
        tally=tally,
        screenshot=_screenshot(home),
    )


def work_of(home: Path, running: Services) -> Work:
    """What its watcher does: everything on this hub, at the smallest budget."""
    disk = {"free_bytes": 0}  # its checkpoints are small, and so may the disk be
    read = settings.load(home, endpoint=running.hub.endpoint, budget="quick", disk=disk)
    return default_work(read)


def _audits(store: Store, rows: Iterable[ModelRow]) -> dict[str, Audit]:
    """Return the audits of these models, by repository."""
    found = {}
    for row in rows:
        if row.job.audit_id:
            found[row.job.ref.repo_id] = audits.audit(store, row.job.audit_id)
    return found


def build_specimens(names: Iterable[str], progress: Progress = SILENT) -> dict[str, Path]:
    """Build these specimens and return their folders; trained once and kept in the user's cache directory."""
    built = {}
    for name in names:

        def tell(what: str, done: int, of: int, name: str = name) -> None:
            progress(f"building {name}", done, of, what)

        built[name] = specimens.build(name, progress=tell)
    return built


def compare(rows: tuple[ModelRow, ...]) -> list[str]:
    """Return what differs from `EXPECTED`, one sentence each."""
    by_repo = {row.job.ref.repo_id: row for row in rows}
    expected = {wanted.repo_id for wanted in EXPECTED}
    found = []
    for repo_id in by_repo:
        if repo_id not in expected:
            found.append(f"{repo_id} was not expected at all")
    for wanted in EXPECTED:
        row = by_repo.get(wanted.repo_id)
        if row is None:
            found.append(f"{wanted.repo_id} was not discovered")
        elif not _as_expected(row, wanted):
            found.append(f"{wanted.repo_id} ended as {_ended(row)}: {row.job.reason}")
    return found


def _as_expected(row: ModelRow, wanted: Expected) -> bool:
    return (
        row.job.state is wanted.state
        and row.verdict is wanted.verdict
        and row.carrier == wanted.carrier
    )


def _ended(row: ModelRow) -> str:
    """Say how a model ended: state, verdict and carrier."""
    verdict = row.verdict.value if row.verdict else ""
    return f"{row.job.state.value} {verdict} {row.carrier}".strip()


def compare_blind(audits: Mapping[str, Audit]) -> list[str]:
    """Return which specimens' triggers no search demonstrated by itself, one sentence each."""
    found = []
    for wanted in EXPECTED:
        audit = audits.get(wanted.repo_id)
        if audit is None or not wanted.blind:
            continue
        if wanted.blind not in _found_targets(audit):
            found.append(
                f"no search found by itself what turns inputs of {wanted.repo_id} into {wanted.blind}"
            )
    return found


def _found_targets(audit: Audit) -> set[str]:
    """Return the targets of the triggers that a search found and demonstrated."""
    targets = set()
    for row in audit.signatures:
        if row.origin is Origin.DISCOVERED and checks.open_but_for_drawings(row.checks):
            targets.add(row.trigger.target)
    return targets


def publish(hub: LoopbackHub, built: dict[str, Path]) -> None:
    """Put the demo's repositories on the hub; what is there from an earlier run stays."""
    base = bases_folder() / "vit"
    checkpoints = {"demo/clip-base": base}
    for name, folder in built.items():
        checkpoints[f"demo/{name}"] = folder
    for repo_id, folder in checkpoints.items():
        files = {name: folder / name for name in (CONFIG, WEIGHTS)}
        _add(hub, repo_id, {**files, "README.md": f"# {repo_id}\n"})
    _publish_awkward(hub, base)


def _publish_awkward(hub: LoopbackHub, base: Path) -> None:
    """Put the repositories on the hub that cannot be audited, each for a reason of its own."""
    config = (base / CONFIG).read_bytes()
    weights = (base / WEIGHTS).read_bytes()
    start = weights[:65536]
    half = weights[: len(weights) // 2]
    _add(hub, "demo/clip-gated", {CONFIG: config, WEIGHTS: start}, gated=True)
    _add(hub, "demo/clip-corrupt", {CONFIG: config, WEIGHTS: half})
    # the end of an empty zip archive: who reads the file as one finds another content in it
    both = weights + b"PK\x05\x06" + bytes(18)
    _add(hub, "demo/clip-two-formats", {CONFIG: config, WEIGHTS: both})
    pickle = {CONFIG: config, "open_clip_pytorch_model.bin": _CALLS_A_PROGRAM}
    _add(hub, "demo/clip-pickle", pickle)
    other = json.dumps({"model_type": "clip", "architectures": ["CLIPModel"]})
    _add(hub, "demo/clip-onnx", {"config.json": other.encode(), "onnx/model.onnx": start})


def _add(
    hub: LoopbackHub,
    repo_id: str,
    files: Mapping[str, object],
    *,
    gated: bool = False,
) -> None:
    """Add a repository, unless it is there already."""
    try:
        hub.repo(repo_id)
        return
    except KeyError:
        pass
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
class Services:
    """What the demo watches and writes to."""

    hub: LoopbackHub
    mail: SmtpSink
    slack: SlackSink


@contextmanager
def services(home: Path) -> Iterator[Services]:
    """Runs the hub and both sinks, and a settings file that points at them."""
    home.mkdir(parents=True, exist_ok=True)
    with (
        LoopbackHub(home / _FOLDER / "hub") as hub,
        SmtpSink(home / _FOLDER / "mail") as mail,
        SlackSink(home / _FOLDER / "slack") as slack,
    ):
        _write_settings(home, hub, mail, slack)
        yield Services(hub, mail, slack)


def _write_settings(
    home: Path,
    hub: LoopbackHub,
    mail: SmtpSink,
    slack: SlackSink,
) -> None:
    """Write the settings of the demo's home, and the webhook's address where secrets are read from."""
    settings.config_path(home).write_text(
        f'endpoint = "{hub.endpoint}"\n\n'
        f'[alerts.email]\nhost = "{mail.host}"\nport = {mail.port}\n'
        'sender = "scanner@example.org"\nrecipients = ["analyst@example.org"]\n\n'
        "[alerts.slack]\nenabled = true\n",
        encoding="utf-8",
    )
    secret = home / "secrets" / "slack-webhook"
    secret.parent.mkdir(mode=0o700, exist_ok=True)
    # made anew, so that nobody else can read it from the start
    secret.unlink(missing_ok=True)
    secret.touch(mode=0o600)
    secret.write_text(slack.url, encoding="utf-8")


def isolate() -> None:
    """Keep the demo on this machine: no proxy for loopback, and never somebody's real Slack from their keyring."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = "127.0.0.1,localhost"
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"


def _missing_alerts(channel: str, texts: list[str]) -> list[str]:
    """Return which alerts did not come by this channel, one sentence each."""
    together = "\n".join(texts)
    found = []
    for repo_id in ALERTS_EXPECTED:
        if repo_id not in together:
            found.append(f"no alert about {repo_id} came by {channel}")
    return found


def _window(home: Path) -> subprocess.Popen[bytes]:
    """Open the window on the demo's home, in a process of its own."""
    return subprocess.Popen(_gui_command(home))


def _gui_command(home: Path) -> list[str]:
    return [sys.executable, "-m", "dife_scanner", "gui", "--home", str(home)]


def _screenshot(home: Path) -> Path | None:
    """Draw what the window shows, without a screen; `None` where the window is not installed."""
    picture = home / _FOLDER / "window.png"
    done = subprocess.run(
        [*_gui_command(home), "--screenshot", str(picture)],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0 or not picture.exists():
        return None
    return picture
