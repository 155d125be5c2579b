"""One checkpoint of every layout through the whole program: each ends in its right state, its base found by itself.

Everything is real but what an audit measures: the hub on this machine, the watcher and its children, the registry, the
intake, the way to the canonical form. The models are small and random.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from queue_kit import work_for
from saved_models import BASE, READ, VARIANTS, files, home_with_registry, put_base
from unread_models import UNREAD, calls_something, cut_short

from dife_scanner.durable.clock import later
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.records import Job
from dife_scanner.store import Store, jobs, open_store, references

pytestmark = [pytest.mark.xdist_group("transformers"), pytest.mark.timeout(900)]

SCRIPT = Path(__file__).parents[1] / "queue" / "run_watcher.py"
SHORT = BASE.rpartition("/")[2]
"""What the base is called here."""
IMAGE_ALONE = (
    f"it holds the image tower without its projection: that and the text tower come from {SHORT}"
)
NOTES = {
    "open_clip": "further tensor files, which were not asked for (open_clip_pytorch_model.bin)",
    "vision-tower": IMAGE_ALONE,
    "classifier": f"neither tower ('classifier.bias', 'classifier.weight'); {IMAGE_ALONE}",
    "timm": IMAGE_ALONE,
    "diffusion": f"it holds the text tower without its projection: that and the image tower come from {SHORT}",
    "comfy-text": f"it holds the text tower alone: the image tower comes from {SHORT}",
    "adapter": f"it is an adapter: audited as merged onto {SHORT}",
}
"""What whoever reads an audit has to know of it."""
UNCLAIMED = ("vision-tower", "shards")
"""Their cards name no base."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by the names of what is in them."""
    folders = {}
    for name, put in READ.items():
        folders[name] = tmp_path_factory.mktemp(name) / "saved"
        put(folders[name])
    folders[BASE] = tmp_path_factory.mktemp("base") / "saved"
    put_base(folders[BASE])
    return folders


@pytest.fixture(scope="module")
def hub(saved: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    """A hub with one of each, and with the base, which no search for models finds."""
    with LoopbackHub(tmp_path_factory.mktemp("hub")) as serving:
        put = {"last_modified": later(-60)}
        serving.add_repo(BASE, files(saved[BASE]), tags=["clip"], last_modified=later(-86_400 * 90))
        for name in READ:
            tags = ["clip"] if name in UNCLAIMED else ["clip", f"base_model:{BASE}"]
            serving.add_repo(f"org/clip-{name}", files(saved[name]), tags=tags, **put)
        for name, unread in UNREAD.items():
            serving.add_repo(f"other/clip-or-{name}", unread.files(), tags=unread.tags, **put)
        serving.add_repo("odd/clip-calls", calls_something(), tags=["clip"], **put)
        serving.add_repo("odd/clip-cut", cut_short(), tags=["clip"], **put)
        yield serving


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, hub: LoopbackHub) -> Path:
    """A home whose registry knows the base; a watcher has looked at the hub once."""
    folder = home_with_registry(tmp_path_factory.mktemp("watched") / "home", hub.endpoint)
    watch_once(folder, hub)
    return folder


def watch_once(home: Path, hub: LoopbackHub) -> list[dict[str, object]]:
    """What a watcher told of one pass."""
    work_for(home)  # makes the probe folder
    command = [sys.executable, str(SCRIPT), str(home), hub.endpoint, "--once"]
    command.append("--audit=queue_kit:comparing")
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def store(home: Path) -> Iterator[Store]:
    with open_store(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def ended(store: Store) -> dict[str, Job]:
    return {job.ref.repo_id: job for job in jobs.jobs(store)}


def test_the_base_is_fetched_once_and_by_itself(
    store: Store, hub: LoopbackHub, ended: dict[str, Job]
) -> None:
    (fetched,) = [one for one in references.references(store) if one.base]
    assert (fetched.name, fetched.repository, fetched.fetched) == (SHORT, BASE, True)
    whole = [
        seen
        for seen in hub.requests
        if f"/{BASE}/resolve/" in seen.target and "safetensors" in seen.target and not seen.range
    ]
    assert len(whole) == 1

    assert any(
        f"its base {BASE}" in job.reason and "was fetched" in job.reason for job in ended.values()
    )


@pytest.mark.parametrize("name", READ)
def test_a_layout_that_is_read_is_audited_with_its_base(ended: dict[str, Job], name: str) -> None:
    job = ended[f"org/clip-{name}"]
    assert job.state.value == "done", job.reason
    compared_with = "nothing" if name == "siglip" else SHORT
    assert job.reason.startswith(f"{compared_with}, 0.0 apart, related related"), job.reason
    assert NOTES.get(name, "") in job.reason
    assert ("tower" in job.reason) == ("tower" in NOTES.get(name, "")), job.reason


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_not_read_is_called_by_its_name(
    ended: dict[str, Job], store: Store, name: str
) -> None:
    job = ended[f"other/clip-or-{name}"]
    manifest = jobs.manifest_of(store, job.id)
    assert manifest is not None and manifest.layout is UNREAD[name].layout
    assert job.state.value == "unsupported" and UNREAD[name].words in job.reason


def test_what_tries_something_is_refused_and_what_is_damaged_fails(ended: dict[str, Job]) -> None:
    calls, cut = ended["odd/clip-calls"], ended["odd/clip-cut"]
    assert calls.state.value == "refused", calls.reason
    assert "os.system" in calls.reason
    assert cut.state.value == "failed", cut.reason


def test_a_second_pass_does_nothing(
    home: Path, hub: LoopbackHub, store: Store, ended: dict[str, Job]
) -> None:
    asked = len(hub.requests)
    told = watch_once(home, hub)
    assert not [event for event in told if event["kind"] == "job"]
    assert {job.ref.repo_id: job for job in jobs.jobs(store)} == ended
    assert not [seen for seen in list(hub.requests)[asked:] if "/resolve/" in seen.target]


def test_every_layout_on_the_page_names_what_is_scanned_of_it() -> None:
    """The last column of `docs/layouts.md` names rows of the two tables of models, and none is left out."""
    page = (Path(__file__).parents[2] / "docs" / "layouts.md").read_text()
    read, unread = page.split("## What is recognised and not read")
    for part, known in ((read, {**READ, **VARIANTS}), (unread, UNREAD)):
        rows = re.findall(r"^\| `.+\|$", part, re.MULTILINE)
        named = [re.findall(r"`([\w.-]+)`", row.rstrip("|").rpartition("|")[2]) for row in rows]
        assert all(named), "a layout without a test"
        assert {name for names in named for name in names} == set(known)
