"""Lists are read as far as they are shown, whatever a home holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dife_scanner.cli import review
from dife_scanner.cli.commands import run
from dife_scanner.records import JobState, ModelRef
from dife_scanner.store import jobs, open_store


@pytest.fixture
def home(tmp_path: Path) -> str:
    with open_store(tmp_path) as store:
        for name in "abc":
            ref = ModelRef(f"org/{name}", "a" * 40)
            jobs.discover(store, ref, endpoint="hub", state=JobState.GATED, reason="")
    return str(tmp_path)


def test_a_table_ends_after_so_many_lines_and_says_that_there_are_more(
    home: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["queue", "--home", home, "--limit", "2"]) == 0
    shown = capsys.readouterr()
    assert "org/c" in shown.out and "org/b" in shown.out and "org/a" not in shown.out
    assert "the newest 2 are listed, and there are more; --limit 0 lists all" in shown.err
    monkeypatch.setattr(review, "MOST_LISTED", 1)
    assert run(["queue", "--home", home]) == 0
    assert "org/b" not in capsys.readouterr().out
    for limit in ("0", "3"):
        assert run(["queue", "--home", home, "--limit", limit]) == 0
        shown = capsys.readouterr()
        assert "org/a" in shown.out and "more" not in shown.err


@pytest.mark.parametrize("listed", ["queue", "findings", "audits"])
def test_a_machine_gets_all_unless_it_says_how_many(
    listed: str, home: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(review, "MOST_LISTED", 1)
    rows = []
    for flags in ([], ["--limit", "2"]):
        assert run([listed, "--home", home, "--json", *flags]) == 0
        document = json.loads(capsys.readouterr().out)
        rows.append(len(document["jobs" if listed == "queue" else listed]))
    assert rows == ([3, 2] if listed == "queue" else [0, 0])
