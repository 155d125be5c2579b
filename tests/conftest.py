"""For every test."""

from __future__ import annotations

import os

import pydantic.fields  # noqa: F401 - before pytest-qt imports PySide6, whose import hook breaks a first import of pydantic
import pytest

os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
for _name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
    os.environ.pop(_name, None)
# keyring and certificates of this machine belong to no test, and every process would load them anew

LONGEST = (
    "badtexttower",
    "badencoder",
    "tests/queue/test_crash.py",
    "tests/queue/test_worker.py",
    "known-triggers",
    "tests/lab/test_specimens.py",
    "tests/cli/test_bad_input.py",
    "scan-verdicts",
    "tests/queue/test_watch.py",
    "reproduce",
    "tests/discovery/test_discovery_nouns.py",
    "tests/audit/test_pipeline.py",
    "tests/discovery/test_discovery_leads.py",
    "tests/audit/test_populations.py",
    "tests/cli/test_main.py",
    "tests/audit/test_diagnosis.py",
    "tests/models/test_hostile.py",
    "tests/lab/test_attacks.py",
    "tests/reports/test_figures.py",
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
