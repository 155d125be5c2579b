"""For every test."""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pydantic.fields  # noqa: F401 - before pytest-qt imports PySide6, whose import hook breaks a first import of pydantic
import pytest
from filelock import FileLock
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # what a busy one takes says nothing
settings.load_profile("any machine")
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
for _name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
    os.environ.pop(_name, None)
# keyring and certificates of this machine belong to no test, and every process would load them anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# or every process would compile its modules, and rewrite the tests' asserts, anew
os.environ.setdefault("OMP_NUM_THREADS", "1")
# a fork of a process in which torch has started more threads waits for them for ever

LONGEST = (
    "badtexttower",
    "badencoder",
    "transformers",
    "tests/queue/test_watch.py",
    "tests/queue/test_crash.py",
    "ray",
    "scan-verdicts",
    "known-triggers",
    "tests/queue/test_a_killed_search.py",
    "tests/lab/test_specimens.py",
    "tests/queue/test_worker.py",
    "tests/cli/test_bad_input.py",
    "tests/audit/test_faults.py",
    "tests/gui/test_gui_end_to_end.py",
    "tests/discovery/test_discovery_detectors.py",
    "tests/discovery/test_discovery_leads.py",
    "reproduce",
    "tests/baselines/test_references.py",
    "tests/lab/test_attacks.py",
    "tests/cli/test_main.py",
    "tests/cli/test_surroundings.py",
    "tests/discovery/test_discovery_nouns.py",
    "tests/queue/test_batch.py",
    "tests/audit/test_clean_references.py",
    "tests/audit/test_pipeline.py",
    "tests/lab/test_bench_zoo.py",
    "tests/baselines/test_adapters.py",
    "tests/models/test_load.py",
    "tests/models/test_oddities.py",
    "tests/models/test_likeness.py",
    "tests/models/test_hostile.py",
    "tests/discovery/test_discovery_learned.py",
    "tests/test_contracts.py",
    "tests/app/test_hub_calibration.py",
    "tests/audit/test_populations.py",
    "tests/store/test_store.py",
    "tests/reports/test_figures.py",
    "tests/queue/test_real_bench.py",
    "tests/gui/test_gui_window.py",
    "tests/audit/test_diagnosis.py",
)
"""Groups of more than ten seconds or so, longest first: what starts last has to be short, or a worker ends alone.

The first two train the specimens, and what takes both comes some time after them, or each would be trained twice.
"""


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = (
        False  # pytest-xdist would start the groups with the most tests first
    )


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A file's tests go to one worker, so that what the file builds is built once; the longest groups come first.

    pytest-xdist 3.8 writes the group behind a test's id for its scheduler, in an attribute that pytest 9.2 no longer
    reads, so that its groups come to nothing; here it is written where that pytest keeps the id.
    """
    grouped = getattr(config.option, "loadgroup", False)
    ranks = {}
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        group = mark.args[0] if mark else item.nodeid.partition("::")[0]
        if mark is None:
            item.add_marker(pytest.mark.xdist_group(group))
        ranks[item] = LONGEST.index(group) if group in LONGEST else len(LONGEST)
        if grouped and hasattr(item, "_id") and not item.nodeid.endswith(f"@{group}"):
            from _pytest.nodeid import coerce_node_id

            item._id = coerce_node_id(f"{item.nodeid}@{group}")
    items.sort(key=ranks.__getitem__)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What the whole run holds is not looked through again for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def migrate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., None]]:
    """A new database begins as a copy of one that the migrations made, which take as long as many a test.

    What makes one without a copy is given to tests that need it.
    """
    from dife_scanner.store import db

    home = tmp_path_factory.mktemp("migrated")
    made = home / db.DATABASE
    db._migrate(home, made, db.Patience())
    real = db._migrate

    def from_copy(home: Path, path: Path, patience: db.Patience) -> None:
        with FileLock(home / "store.lock"), closing(sqlite3.connect(path)) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                with closing(sqlite3.connect(made)) as whole:
                    whole.backup(connection)
        real(home, path, patience)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "_migrate", from_copy)
        yield real
