"""`dife report`: a period on one page, and the letter to a supplier."""

from __future__ import annotations

import json
import re
from pathlib import Path

import calling
import chromium
import export_kit
import pytest
from desk_kit import SHOP, audited, decide, folder_of, said
from export_kit import HOSTILE, HUB, SECRETS

from dife_scanner.durable.clock import now
from dife_scanner.plain import plain
from dife_scanner.records import InUse
from dife_scanner.reports.markdown import escaped
from dife_scanner.store import open_store, watchlist

CONFIRMED = "fp1:" + "0".zfill(16)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("report") / "home"
    export_kit.fill(home, found_at=now())
    with open_store(home) as store:
        used = [InUse("org/text", place="train.py:12"), InUse("org/never-seen", place="a.txt:1")]
        watchlist.replace_all(store, HUB, used)
    said(home, "deployments", "add", "shop", *SHOP)
    folder = folder_of(home.parent / "own", b"own")
    audited(home, folder)
    decide(home, folder, "approved", expires="10d")
    return home


def told(home: Path, *options: str) -> str:
    done = calling.dife("report", "--home", home, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_document_counts_what_is_used_found_decided_and_expiring(home):
    document = said(home, "report")
    used = {one["model"]: (one["state"], one["verdict"]) for one in document["in_use"]}
    assert used == {"org/text": ("done", "flagged"), "org/never-seen": ("", "")}
    assert document["new_in_all"] == len(document["new"]) == 7
    assert document["triage"] == {"new": 4, "confirmed": 1, "false-positive": 1, "accepted-risk": 1}
    assert [one["model"] for one in document["expiring"]] == ["own"]
    assert document["states"] == {"done": 8, "unsupported": 1, "gated": 1}
    assert document["tally"]["audited"] == 8 and document["tally"]["flagged"] == 5
    assert [step["audited"] for step in document["trend"]] == [0, 0, 0, 0, 0, 8]
    assert said(home, "report", "--since", "1s")["trend"][-1]["found"] <= 7


@pytest.mark.parametrize("format", ["table", "html", "md", "json"])
def test_no_page_holds_a_trigger_or_lets_a_name_act(home, format):
    text = told(home, "--format", format)
    for secret in SECRETS.values():
        assert secret not in text.replace("\\", "")
    assert (
        "\u202e" not in text
        and "\x1b[2J" not in text
        and "<img src=x" not in text.replace(plain(HOSTILE), "").replace(escaped(HOSTILE), "")
    )


@chromium.needed
def test_chromium_shows_a_hostile_name_on_the_page_as_text(home, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(told(home, "--format", "html"), encoding="utf-8")
    text = chromium.dom(page)
    assert "&lt;img src=x onerror=alert(1)&gt;" in text and "<img" not in text


def test_a_page_names_what_nobody_can_see_and_never_says_clean_of_a_model(home):
    text = told(home)
    assert "gated: nothing is known of them" in text
    assert "1 approval will expire within 30 days" in text and "train.py:12" in text
    assert "by chance" in text and "No verdict says that a model is clean" in text


def test_the_page_says_everything_that_a_desk_has_to_know_of_a_week(home):
    """Each in its place, where nothing of it is there as well: a page that leaves a line out says something too."""
    text = told(home, "--since", "7d", "--format", "md")
    first, _, tables = text.partition("## ")
    for words in ("in use", "audited", "flagged", "confirmed", "disputed", "false positive"):
        assert words in first, words
    assert re.search(r"by chance alone.*[0-9]|[0-9].*by chance", first)
    for words in ("audited", "unsupported", "failed", "stale"):
        assert re.search(rf"^\| {words} \| [0-9]", tables, re.MULTILINE), words
    for title in ("Approvals that expire", "What we cannot see", "Trend", "Models in use"):
        assert title in tables, title


def test_a_letter_says_what_was_measured_and_calls_nobody_malicious(home):
    text = told(home, CONFIRMED, "--format", "disclosure")
    assert text.startswith("# Trigger-conditioned behaviour in org/text")
    assert "+0.950 (+0.930 to +0.970)" in text and "no statement about intent" in text
    for word in ("malicious", "backdoor", "attack", *SECRETS.values()):
        assert word not in text.lower()
    with_it = told(home, CONFIRMED, "--format", "disclosure", "--with-triggers")
    assert SECRETS["text"] in with_it and SECRETS["note"] not in with_it


def test_a_letter_about_what_nobody_has_confirmed_is_a_draft(home, tmp_path):
    file = tmp_path / "letter.md"
    done = calling.dife(
        "report", "fp1:" + "3".zfill(16), "--home", home, "--format", "disclosure", "--out", file
    )
    assert done.returncode == 0 and "marked as a draft" in done.stderr
    assert file.read_text().startswith("> Draft: nobody has confirmed")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--since", "soon"], "no period"),
        (["--since", "0d"], "no period"),
        (["--format", "disclosure"], "about one finding"),
        ([CONFIRMED], "for the letter"),
        (["--json", "--format", "html"], "contradict"),
        (["--format", "table", "--out", "page.txt"], "for the terminal"),
        (["fp1:" + "a".zfill(16), "--format", "disclosure"], "nothing in this to write"),
        (["fp1:" + "9".zfill(16), "--format", "disclosure"], "nothing in this to write"),
    ],
)
def test_a_mistake_says_what_to_do_instead(home, options, says):
    done = calling.dife("report", "--home", home, *options)
    assert done.returncode == 64 and says in done.stderr and "try:" in done.stderr


def test_a_home_without_anything_has_a_page(tmp_path):
    text = told(tmp_path / "home", "--format", "md")
    assert "No approval will expire within 30 days" in text
    assert "0 findings" in text and "No list of models in use" in text
    assert json.loads(told(tmp_path / "home", "--json"))["new"] == []
