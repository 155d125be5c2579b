"""One checkpoint of every layout through the whole program: each ends in its right state, with its base found by itself.

Everything is real but what an audit measures: the hub on this machine, the watcher and its children, the registry, the
intake, the way to the canonical form. The models are small and random.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from queue_kit import work_for
from saved_models import ARCHITECTURE, BASE, READ, base, processor
from unread_models import UNREAD, calls_something, cut_short

from dife_scanner.durable.clock import later
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.records import Job
from dife_scanner.store import Store, jobs, open_store, references

pytestmark = pytest.mark.xdist_group("transformers")

SCRIPT = Path(__file__).parents[1] / "queue" / "run_watcher.py"
SHORT = BASE.rpartition("/")[2]
"""What the base is called here."""
UNCLAIMED = ("vision-tower-without-projection", "timm", "text-tower")
"""Their cards name no base."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by the names of what is in them."""
    folders = {}
    for name, put in READ.items():
        folders[name] = tmp_path_factory.mktemp(name) / "saved"
        put(folders[name])
    folders[BASE] = tmp_path_factory.mktemp("base") / "saved"
    base().save_pretrained(folders[BASE])
    processor().save_pretrained(folders[BASE])
    return folders


def files(folder: Path) -> dict[str, Path]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path for path in found}


@pytest.fixture(scope="module")
def hub(
    saved: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoopbackHub]:
    """A hub with one of each, and with the base, which no search for models finds."""
    with LoopbackHub(tmp_path_factory.mktemp("hub")) as serving:
        put = {"last_modified": later(-60)}
        serving.add_repo(BASE, files(saved[BASE]), tags=["clip"], last_modified=later(-86_400 * 90))
        for name in READ:
            tags = ["clip"] if name in UNCLAIMED else ["clip", f"base_model:{BASE}"]
            serving.add_repo(f"org/clip-{name}", files(saved[name]), tags=tags, **put)
        for name, unread in UNREAD.items():
            serving.add_repo(f"other/{name}", unread.files(), tags=unread.tags, **put)
        serving.add_repo("odd/clip-calls", calls_something(), tags=["clip"], **put)
        serving.add_repo("odd/clip-cut", cut_short(), tags=["clip"], **put)
        yield serving


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, hub: LoopbackHub) -> Path:
    """A home whose registry knows the base; a watcher has looked at the hub once."""
    folder = tmp_path_factory.mktemp("watched") / "home"
    folder.mkdir()
    bases = folder / "bases.json"
    place = {"repository": BASE, "layout": "transformers"}
    entry = {
        "name": BASE,
        "aliases": [],
        "architecture": ARCHITECTURE,
        "places": [place],
        "source": ["https://models.example.org/"],
    }
    bases.write_text(json.dumps({"version": 1, "bases": [entry]}))
    config = f'[references]\nregistry = ["{bases}"]\nfetch = "auto"\n'
    (folder / "config.toml").write_text(config)
    watch_once(folder, hub)
    return folder


def watch_once(home: Path, hub: LoopbackHub) -> list[dict[str, object]]:
    """What a watcher told of one pass."""
    work_for(home)  # makes the probe folder
    command = [sys.executable, str(SCRIPT), str(home), hub.endpoint, "--once", "--comparing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def store(home: Path) -> Iterator[Store]:
    with open_store(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def ended(store: Store) -> dict[str, Job]:
    return {job.ref.repo_id: job for job in jobs.jobs(store)}


def test_the_base_is_fetched_once_and_by_itself(store: Store, ended: dict[str, Job]) -> None:
    (fetched,) = [one for one in references.references(store) if one.base]
    assert (fetched.name, fetched.repository, fetched.fetched) == (SHORT, BASE, True)


@pytest.mark.parametrize("name", READ)
def test_every_layout_that_is_read_is_audited_against_its_base(
    ended: dict[str, Job], name: str
) -> None:
    job = ended[f"org/clip-{name}"]
    assert job.state.value == "done", job.reason
    print(job.reason)
