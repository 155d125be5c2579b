"""Programs that nobody here wrote check the loopback hub, and give the second opinions that we read.

    python tests/peers/run.py [--cache DIR] [--no-scan] [--no-scanners | --only-scanners]

npm `@huggingface/hub` lists, reads and downloads everything an anonymous caller may see; every name, id, size and byte
is compared with what is on the hub's shelf. PyPI `olah` is a mirror: it stands between client and hub, and what arrives
through it is compared with what arrives directly, repository by repository, and then finding by finding of `dife scan`.
picklescan and modelaudit are asked about small files that are known to be clean, suspicious or malicious to them.

One line per check, `PASS` or `FAIL`. Exit code 0 when all passed, 1 when one failed, 3 when a peer could not be
installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent

_CLIENT_ENVIRONMENT = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


class Report:
    """Prints each result as it comes and remembers failures."""

    def __init__(self) -> None:
        self.failed = 0

    def check(self, name: str, got: object, expected: object) -> None:
        if got == expected:
            print(f"PASS {name}", flush=True)
            return
        self.failed += 1
        print(
            f"FAIL {name}\n     got      {_short(got)}\n     expected {_short(expected)}",
            flush=True,
        )

    def attempt(self, name: str, work: Callable[[], None]) -> None:
        """A check that raises has failed, and the next one still runs."""
        try:
            work()
        except Exception as error:
            self.failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 2000 else text[:2000] + "…"


def main() -> int:
    options = _options()
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _stop)  # an exit, so that processes started here are ended too
    signal.alarm(int(options.minutes * 60))
    options.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dife-peers-") as scratch:
        work = Path(scratch)
        os.environ.update(
            _CLIENT_ENVIRONMENT, HF_HOME=str(work / "hf")
        )  # before huggingface_hub is imported
        try:
            if not options.no_scanners:
                scanners = _install_scanners(options.cache)
            if not options.only_scanners:
                olah = _install_olah(options.cache)
                node = _install_npm(options.cache)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"a peer could not be installed: {error}", file=sys.stderr)
            return 3
        report = Report()
        if not options.no_scanners:
            _ask_scanners(report, work, scanners)
        if not options.only_scanners:
            _run(report, work, olah, node, scan=not options.no_scan, hub_root=options.hub_root)
    print(f"{report.failed} failed" if report.failed else "all peers agree", flush=True)
    return 1 if report.failed else 0


def _stop(number: int, _: object) -> None:
    print(f"FAIL stopped by {signal.Signals(number).name}", flush=True)
    sys.exit(1)


def _options() -> argparse.Namespace:
    import platformdirs

    cache = (
        os.environ.get("DIFE_PEERS_CACHE") or platformdirs.user_cache_path("dife-scanner") / "peers"
    )
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--cache", type=Path, default=Path(cache), help="where the peers are installed"
    )
    parser.add_argument(
        "--no-scan", action="store_true", help="leave out `dife scan` through the mirror"
    )
    parser.add_argument(
        "--no-scanners", action="store_true", help="leave out the scanners of files"
    )
    parser.add_argument(
        "--only-scanners", action="store_true", help="leave out everything about the hub"
    )
    parser.add_argument(
        "--hub-root",
        type=Path,
        help="a loopback hub's folder whose repositories are scanned as well",
    )
    parser.add_argument("--minutes", type=float, default=40, help="give up after so long")
    return parser.parse_args()


def _run(
    report: Report, work: Path, olah: Path, node: Path, *, scan: bool, hub_root: Path | None
) -> None:
    import javascript
    import mirror
    import shelf

    with shelf.hub(work / "hub") as hub:
        print(
            f"# npm @huggingface/hub against {len(hub.repositories.all())} repositories", flush=True
        )
        report.attempt("npm", lambda: javascript.compare(report, hub, node, work / "read.json"))
        print("# olah between huggingface_hub and the hub", flush=True)
        with mirrored(olah, work / "olah", hub.endpoint, hub.cdn) as endpoint:
            for repo_id in shelf.downloadable(hub):
                report.attempt(
                    repo_id, partial(mirror.compare, report, hub, endpoint, repo_id, work)
                )
    if scan:
        print("# olah between dife and the hub", flush=True)
        _run_scans(report, work, olah, hub_root)


def _ask_scanners(report: Report, work: Path, scanners: dict[str, Path]) -> None:
    import second_opinions

    print("# picklescan and modelaudit about small files", flush=True)
    opinions = work / "opinions"
    report.attempt("second opinions", partial(second_opinions.compare, report, scanners, opinions))


def _run_scans(report: Report, work: Path, olah: Path, hub_root: Path | None) -> None:
    import findings
    import shelf

    with (
        findings.hub(work / "demo-hub", hub_root) as hub,
        mirrored(olah, work / "olah-scan", hub.endpoint, hub.cdn) as endpoint,
    ):
        for repo_id in shelf.downloadable(hub):
            report.attempt(repo_id, partial(findings.compare, report, hub, endpoint, repo_id, work))


# --- the peers ------------------------------------------------------------------------------------------------


def _install_scanners(cache: Path) -> dict[str, Path]:
    """The program of each, by name."""
    programs = {}
    for requirements in sorted((HERE / "scanners").glob("*.txt")):
        name = requirements.stem
        programs[name] = _install_python(cache, name, requirements) / name
    return programs


def _install_olah(cache: Path) -> Path:
    return _install_python(cache, "olah", HERE / "olah" / "requirements.txt")


def _install_python(cache: Path, name: str, requirements: Path) -> Path:
    """A virtual environment of its own, made once per list of requirements; returns the folder of its programs."""
    programs = cache / f"{name}-{_digest(requirements)}" / "bin"
    if not (programs / ".complete").exists():
        print(f"installing {name}", flush=True)
        _quiet([sys.executable, "-m", "venv", "--clear", str(programs.parent)])
        _quiet([str(programs / "python"), "-m", "pip", "install", "-q", "-r", str(requirements)])
        (programs / ".complete").touch()
    return programs


def _install_npm(cache: Path) -> Path:
    """A folder with `node_modules` as locked; returns it."""
    lock = HERE / "npm" / "package-lock.json"
    folder = cache / f"npm-{_digest(lock)}"
    if not (folder / ".complete").exists():
        print("installing @huggingface/hub", flush=True)
        folder.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "npm" / name, folder)
        _quiet(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)
        (folder / ".complete").touch()
    return folder


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _quiet(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise OSError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")


@contextmanager
def mirrored(programs: Path, folder: Path, hub: str, cdn: str) -> Iterator[str]:
    """An olah process in front of the hub; yields its endpoint and ends it by its own id."""
    import psutil

    for name in ("repos", "logs", "mirrors"):
        (folder / name).mkdir(parents=True)
    port = _free_port()
    values = {"port": port, "folder": folder, "hub": _netloc(hub), "cdn": _netloc(cdn)}
    config = folder / "config.toml"
    config.write_text(_filled(HERE / "olah" / "config.toml", values), encoding="utf-8")
    command = [str(programs / "olah-cli"), "-c", str(config), "--log-path", str(folder / "logs")]
    environment = {**os.environ, "HF_HOME": str(folder / "hf")}
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _await(port, process, folder / "output.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        children = (
            psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        )
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        for child in children:
            if child.is_running():
                child.kill()


def _filled(template: Path, values: dict[str, object]) -> str:
    from string import Template

    return Template(template.read_text(encoding="utf-8").replace("$name", "$$name")).substitute(
        values
    )


def _netloc(origin: str) -> str:
    return origin.removeprefix("http://")


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    import socket

    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"olah did not start: {output.read_text(errors='replace')[-2000:]}")


if __name__ == "__main__":
    sys.exit(main())
