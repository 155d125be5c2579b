"""`dife top`: the desk in a terminal of 80 by 24, driven by keys, which leaves the terminal as it was."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from desk_kit import refused, said
from store_records import make_audit, make_finding
from terminal_kit import Session, on_a_terminal
from waiting import BUSY_SECONDS

from dife_scanner.cli.top import drawing, state
from dife_scanner.cli.top.desk import Desk
from dife_scanner.cli.top.keys import KEYS, actions
from dife_scanner.cli.top.screen import Page
from dife_scanner.cli.top.state import Top
from dife_scanner.cli.top.terminal import Terminal
from dife_scanner.errors import DifeError
from dife_scanner.records import (
    Artefact,
    DeploymentProfile,
    JobState,
    ModelRef,
    Standing,
    TriageState,
)
from dife_scanner.settings import load
from dife_scanner.store import (
    Store,
    artefacts,
    audits,
    deciding,
    decisions,
    deployments,
    findings,
    jobs,
    open_store,
    requests,
    triage,
    triage_log,
)

HOSTILE = "evil/\x1b[31m\x1b]0;title\x07\u202egnp" + "x" * 10_000
RIVAL = "bob"


def fill(store: Store, count: int = 3) -> None:
    with store.atomic("test"):
        for number in range(count):
            name = HOSTILE if number == 1 else f"org/clip-{number}"
            found = make_finding(fingerprint=f"fp1:{number:04}", audit_id=None)
            found = replace(found, ref=ModelRef(name, "a" * 40), reason=f"because {name}")
            findings.insert_finding(store, found, None)


@pytest.fixture
def desk_home(home: Path) -> Path:
    with open_store(home) as store:
        fill(store)
        for number, state_ in enumerate((JobState.QUEUED, JobState.QUARANTINED)):
            ref = ModelRef(f"org/job-{number}", "b" * 40)
            jobs.discover(store, ref, endpoint="", state=state_, reason=f"{number} deaths")
    return home


@pytest.fixture
def top(desk_home: Path) -> Iterator[Top]:
    """The screen without a terminal."""
    with open_store(desk_home) as store:
        made = Top(Desk(store, load(desk_home)))
        made.look()
        yield made


def press(top: Top, *keys: str) -> None:
    for key in keys:
        top.press(key)


def typed(top: Top, text: str) -> None:
    press(top, *text, "enter")


def drawn(top: Top, width: int = 80, height: int = 24) -> list[str]:
    """The lines of the screen; each has room."""
    from rich.console import Console

    console = Console(width=width, height=height, color_system=None, legacy_windows=False)
    with console.capture() as caught:
        console.print(drawing.draw(top, console), height=height)
    lines = caught.get().split("\n")[:height]
    assert all(len(line) <= width for line in lines)
    assert not {"\x1b", "\x07", "\u202e"} & set("".join(lines))
    return lines


def text_of(top: Top, width: int = 80, height: int = 24) -> str:
    return "\n".join(drawn(top, width, height))


def triaged(top: Top) -> list[TriageState]:
    return [one.triage for one in sorted(top.listed.rows, key=lambda one: one.fingerprint)]


# --- without a terminal -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 8), (200, 60)])
def test_every_page_fits_whatever_strangers_wrote(top: Top, width: int, height: int) -> None:
    pages = []
    for keys in (["1"], ["2"], ["3"], ["G", "enter"], ["enter"], ["?"]):
        press(top, *keys)
        pages.append(text_of(top, width, height))
    assert len(set(pages)) >= 5
    press(top, "esc", "3", "/")
    typed(top, "id:fp1:0001 nonsense>")
    assert "filter, column" in text_of(top, width, 24)


def test_one_finding_is_decided_about_and_the_next_one_comes(top: Top) -> None:
    press(top, "3", "c")
    assert "1 finding set to confirmed" in top.message
    assert top.at[Page.FINDINGS] == 1
    press(top, "f")
    assert top.prompt is not None and "because" in top.prompt.question
    press(top, "esc")
    assert top.prompt is None and "left as it was" in top.message
    press(top, "a")
    typed(top, "known")
    typed(top, "soon")
    assert "no day" in top.message and triaged(top).count(TriageState.ACCEPTED_RISK) == 0
    press(top, "a")
    typed(top, "known")
    typed(top, "90d")
    assert triaged(top).count(TriageState.ACCEPTED_RISK) == 1
    press(top, "z", "z", "z")
    assert "nothing was decided in this run" in top.message
    assert triaged(top) == [TriageState.NEW] * 3


def test_marked_ones_and_all_shown_are_asked_about_once(top: Top) -> None:
    press(top, "3", " ", "j", "v")
    assert len(top.marks) == 3 and drawn(top)[3].startswith("  ●")
    press(top, "c")
    assert top.prompt is not None
    assert top.prompt.question == "Set 3 findings (3 new) to confirmed? y/n"
    press(top, "n")
    assert triaged(top) == [TriageState.NEW] * 3
    press(top, "c", "y")
    assert triaged(top) == [TriageState.CONFIRMED] * 3 and not top.marks
    press(top, "/")
    typed(top, "id:fp1:0000,fp1:0002")
    press(top, "b")
    typed(top, "false")
    typed(top, "drawn by hand")
    press(top, "y", "/", "ctrl-u", "enter")
    false = TriageState.FALSE_POSITIVE
    assert triaged(top) == [false, TriageState.CONFIRMED, false]


def test_nothing_is_decided_about_what_is_not_in_sight(top: Top) -> None:
    press(top, "3", " ", "2", "c", "b")
    assert "no finding is selected" in top.message or top.prompt is None
    assert triaged(top) == [TriageState.NEW] * 3
    press(top, "3", "G", "enter", "c")
    assert sorted(triaged(top)) == [TriageState.CONFIRMED, TriageState.NEW, TriageState.NEW]
    assert top.selected is not None and top.selected.triage is TriageState.CONFIRMED


def test_whoever_is_second_sees_what_the_first_did(top: Top, desk_home: Path) -> None:
    press(top, "3", " ", "k", "enter")
    name = top.listed.rows[0].fingerprint
    with open_store(desk_home) as store:
        triage.decide(store, TriageState.DISCLOSED, triage.seen(store, [name]), actor=RIVAL)
    press(top, "c")
    assert f"{RIVAL} set disclosed" in top.message and top.is_alarm
    press(top, "c")
    with open_store(desk_home) as store:
        actors = [event.actor for event in triage_log.events(store, name)]
    assert actors[0] == RIVAL and len(actors) == 2


def test_the_list_keeps_what_is_selected_while_others_come(top: Top, desk_home: Path) -> None:
    press(top, "3", "j")
    chosen = top.selected
    with open_store(desk_home) as store, store.atomic("test"):
        late = make_finding(fingerprint="fp1:late", audit_id=None)
        findings.insert_finding(store, late, None)
    top.look()
    assert len(top.listed.rows) == 4 and top.selected == chosen


def test_a_database_put_in_its_place_is_read(top: Top, desk_home: Path, tmp_path: Path) -> None:
    """As a backup that is restored while the desk is open."""
    before = top.desk.changed()
    with open_store(tmp_path / "backup") as other:
        fill(other, 2)
    for name in ("dife.db-wal", "dife.db-shm"):
        (desk_home / name).unlink(missing_ok=True)
    (tmp_path / "backup" / "dife.db").replace(desk_home / "dife.db")
    assert top.desk.changed() != before
    top.look()
    assert len(top.listed.rows) == 2


def test_the_queue_says_why_and_queues_a_stuck_job_again(top: Top) -> None:
    press(top, "2")
    page = text_of(top)
    assert "1 waiting, 1 stuck" in page and "as a listing shows it" in page
    press(top, "G", "r", "k", "+", "p")
    assert "asked" in top.message
    with open_store(top.desk.settings.home) as store:
        assert requests.serve_queue(store) == []  # what a watcher does at each turn
    top.look()
    page = text_of(top)
    assert "2 waiting, 0 stuck" in page and "paused by" in page
    assert next(line for line in page.split("\n") if line.startswith(">")).split()[1] == "1"
    press(top, "p")
    assert "asked for and not done: resume" in text_of(top, 160)


def test_more_findings_than_lines_are_reached(home: Path) -> None:
    with open_store(home) as store:
        fill(store, 60)
        top = Top(Desk(store, load(home)), "id:~fp1")
        top.look()
        drawn(top)
        press(top, "pagedown", "pagedown")
        assert top.selected is not None
        selected = [line for line in drawn(top) if line.startswith(">")]
        assert len(selected) == 1
        press(top, "G")
        assert top.at[Page.FINDINGS] == 59


def test_every_key_has_an_action_of_its_own() -> None:
    assert all(callable(getattr(Top, key.action)) for key in KEYS)
    assert len(actions(KEYS)) == sum(len(key.names) for key in KEYS)


# --- for deployments ---


@pytest.fixture
def decided(home: Path) -> Iterator[Top]:
    """Three flagged models whose text towers are equal, and one deployment that they might be used for."""
    with open_store(home) as store:
        for number in range(3):
            kept_with_files(store, f"org/copy-{number}", f"{number}")
        deployments.add(store, DeploymentProfile("shop", INTERFACES, classes=("boot",)), "ada")
        made = Top(Desk(store, load(home)))
        made.look()
        press(made, "3")
        yield made


INTERFACES = ("zero-shot classification",)


def kept_with_files(store: Store, name: str, mark: str) -> None:
    """A flagged model with an audit and its files on record; those of all have equal towers."""
    ref = ModelRef(name, "c" * 40)
    audit = make_audit(f"audit-{mark}", f"identity-{mark}", ref=ref)
    record = audits.keep_record(store, audit)
    with store.atomic("test"):
        jobs.discover(store, ref, endpoint="", state=JobState.QUEUED, reason="listed")
        audits.insert_audit(store, audit, record)
        job = artefacts.job_of(store, ref)
        assert job is not None
        found = replace(make_finding(f"fp1:{mark * 4}", audit_id=audit.id), ref=ref)
        findings.insert_finding(store, found, job.id)
        store.write(
            "UPDATE jobs SET audit_id = ?, fingerprint = ?, state = 'done' WHERE id = ?",
            (audit.id, found.fingerprint, job.id),
        )
    artefacts.keep(store, job.id, Artefact(f"art1:{mark * 64}", ()))


def stands(top: Top) -> dict[str, str]:
    """By model, what counts for the shop."""
    found = {}
    for number in range(3):
        job = artefacts.newest_revision(top.desk.store, f"org/copy-{number}")
        assert job is not None
        (one,) = decisions.standings_of(top.desk.store, job)
        found[job.ref.repo_id[-6:]] = one.state.value
    return found


def test_a_checkpoint_is_decided_about_for_a_deployment_step_by_step(decided: Top) -> None:
    """Reason, conditions, owner and end; what may not be kept is asked for again, with what was typed."""
    press(decided, "G", "enter", "d")
    assert decided.prompt is not None and "For shop now: 1 pending" in decided.prompt.question
    assert "For shop now" in text_of(decided)
    typed(decided, "cond")
    typed(decided, "")
    assert "needs a reason" in decided.message and "because" in decided.prompt.question
    typed(decided, "only shown to staff")
    typed(decided, "behind a filter")
    assert "Owner (empty: " in decided.prompt.question
    typed(decided, "bob")
    typed(decided, "soon")
    assert decided.is_alarm and decided.prompt.text == "soon"
    press(decided, "ctrl-u")
    typed(decided, "2099-01-31")
    assert decided.prompt is None and "is conditions for shop now" in decided.message
    (made,) = decisions.log(decided.desk.store)
    assert (made.reason, made.conditions, made.owner) == (
        "only shown to staff",
        "behind a filter",
        "bob",
    )
    assert made.expires.startswith("2099-02-01")
    press(decided, "end")
    assert "shop: conditions" in text_of(decided, 100, 300)


def test_what_was_refused_is_approved_only_where_that_is_meant(decided: Top) -> None:
    press(decided, "d")
    typed(decided, "refused")
    for answer in ("does what a bill forbids", "", ""):
        typed(decided, answer)
    refused_one = next(name for name, state_ in stands(decided).items() if state_ == "refused")
    for answer in ("n", "y"):
        press(decided, "d")
        typed(decided, "approved")
        for text in ("settled with them", "", ""):
            typed(decided, text)
        assert decided.prompt is not None and decided.prompt.yes_or_no
        assert "refused by" in decided.prompt.question
        press(decided, answer)
        assert stands(decided)[refused_one] == ("approved" if answer == "y" else "refused")


def test_marked_ones_are_decided_about_once_asked_and_as_before(decided: Top) -> None:
    press(decided, "d")
    typed(decided, "refused")
    for answer in ("does what a bill forbids", "", ""):
        typed(decided, answer)
    press(decided, "*")
    assert "3 findings with this effect on an equal tower marked" in decided.message
    press(decided, "o")
    assert decided.prompt is not None
    assert decided.prompt.question == (
        "Take over 2 decisions for shop; not for 1 checkpoint: somebody has decided about it already? y/n"
    )
    press(decided, "n")
    assert sorted(stands(decided).values()) == ["pending", "pending", "refused"]
    press(decided, "o", "y")
    assert set(stands(decided).values()) == {"refused"} and not decided.marks
    press(decided, "u")
    assert "2 decisions taken back" in decided.message
    assert sorted(stands(decided).values()) == ["pending", "pending", "refused"]
    press(decided, "*", "o")
    assert "nothing can be taken over" in decided.message
    decided.marks.clear()
    press(decided, " ", " ", "d")
    typed(decided, "pending")
    for answer in ("looked at again", "", ""):
        typed(decided, answer)
    assert decided.prompt is not None and "Set 2 checkpoints to pending" in decided.prompt.question
    press(decided, "y")
    assert "Decided about 2 checkpoints for shop: pending" in decided.message


def one_is_refused(top: Top) -> None:
    press(top, "d")
    typed(top, "refused")
    for answer in ("does what a bill forbids", "", ""):
        typed(top, answer)


def test_many_are_taken_over_in_portions_and_it_is_drawn_how_far_it_is(
    decided: Top, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "PORTION", 1)
    frames: list[str] = []
    decided.drawn_now = lambda: frames.append(text_of(decided))
    one_is_refused(decided)
    press(decided, "*", "o")
    press(decided, "y", "u")
    told = [line for frame in frames for line in frame.split("\n") if " of " in line]
    assert [line.strip() for line in told] == [
        "Looked at 1 of 3 checkpoints",
        "Looked at 2 of 3 checkpoints",
        "Taken over for 1 of 2",
        "Taken back for 1 of 2",
    ]
    assert "2 decisions taken back" in decided.message
    assert sorted(stands(decided).values()) == ["pending", "pending", "refused"]


def test_what_was_kept_before_a_portion_failed_stays_and_can_be_taken_back(
    decided: Top, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "PORTION", 1)
    one_is_refused(decided)
    press(decided, "*", "o")
    take_over, taken = deciding.take_over, []

    def once(store: Store, *given: Any) -> list[Standing]:
        if taken:
            raise DifeError("the database is held", "try again")
        taken.append(given)
        return take_over(store, *given)

    monkeypatch.setattr(deciding, "take_over", once)
    press(decided, "y")
    assert decided.is_alarm
    assert decided.message == "1 decision kept, the others not: the database is held; try again"
    assert sorted(stands(decided).values()) == ["pending", "refused", "refused"]
    press(decided, "u")
    assert sorted(stands(decided).values()) == ["pending", "pending", "refused"]


def test_a_terminal_is_drawn_while_many_are_decided_about(
    decided: Top, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second portion waits until the screen was read."""
    monkeypatch.setattr(deciding, "PORTION", 1)
    one_is_refused(decided)
    take_over, began, go = deciding.take_over, [], tmp_path / "go"

    def waiting(store: Store, *given: Any) -> list[Standing]:
        while began and not go.exists():
            time.sleep(0.01)
        began.append(given)
        return take_over(store, *given)

    monkeypatch.setattr(deciding, "take_over", waiting)
    with on_a_terminal("top", "--home", decided.desk.settings.home, NO_COLOR="1") as session:
        shows(session, "1 Overview")
        session.press("3")
        session.wait("3 findings")
        session.press("*")
        session.wait("3 findings with this effect")
        session.press("o")
        session.wait("Take over 2 decisions")
        session.press("y")
        session.wait("Taken over for 1 of 2")
        go.touch()
        session.wait("take back")
        session.press("q")
        assert session.end() == 0
    assert set(stands(decided).values()) == {"refused"}


def test_without_a_deployment_or_files_it_is_said_what_is_missing(top: Top) -> None:
    press(top, "3", "d")
    assert "its files were not recorded" in top.message
    press(top, "2", "*", "o", "d")
    assert "no finding is selected" in top.message


# --- once ------------------------------------------------------------------------------------------------------


def test_one_look_for_scripts(desk_home: Path) -> None:
    document = said(desk_home, "top", "--once", "id:fp1:0002")
    assert [one["fingerprint"] for one in document["findings"]] == ["fp1:0002"]
    assert (document["count"], len(document["waiting"]), len(document["stuck"])) == (1, 1, 1)
    assert "column" in refused(desk_home, "top", "nonsense>", code=64)


# --- on a terminal ---------------------------------------------------------------------------------------------


def shows(session: Session, page: str) -> None:
    session.wait(f"[{page}]")


def test_a_finding_is_decided_about_on_a_terminal_that_is_left_as_it_was(desk_home: Path) -> None:
    with on_a_terminal("top", "--home", desk_home, NO_COLOR="1") as session:
        shows(session, "1 Overview")
        assert session.screen.modes == {"?1049", "?25"}
        session.press("3")
        session.wait("3 findings")
        session.press("/id:fp1:0002\r")
        session.wait("(1 finding)")
        session.press("fdrawn by hand\r")
        session.wait("set to false positive")
        session.resize(60, 12)
        session.wait("org/clip-2")
        session.press("\x1b[A\x1b[15~\x1bOA\x1b")
        session.press("\x1a")  # Ctrl-Z
        session.wait("1 finding taken back")
        session.press("q")
        assert session.end() == 0
        assert (session.screen.modes, session.screen.colours) == (set(), False)
        assert session.attributes() == session.before
        with open_store(desk_home) as store:
            events = triage_log.events(store, "fp1:0002")
        assert [event.state for event in events] == [TriageState.FALSE_POSITIVE, TriageState.NEW]


def broken() -> contextlib.AbstractContextManager[object]:
    def fail(self: Top) -> None:
        raise RuntimeError("a mistake of ours")

    return mock.patch.object(state.Top, "show_queue", fail)


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (lambda session: session.press("\x03"), 130),
        (lambda session: os.kill(session.child, signal.SIGTERM), 143),
        (lambda session: os.kill(session.child, signal.SIGHUP), 129),
        (lambda session: session.press("2"), 3),
    ],
    ids=["ctrl-c", "sigterm", "sighup", "mistake"],
)
def test_however_it_ends_the_terminal_is_as_before(
    desk_home: Path, ends: Callable[[Session], None], code: int
) -> None:
    with on_a_terminal("top", "--home", desk_home, patch=broken) as session:
        shows(session, "1 Overview")
        ends(session)
        assert session.end() == code
        assert session.screen.modes == set()
        assert session.attributes() == session.before
        if code == 3:
            assert "a mistake of ours" in session.screen.below


def test_a_terminal_that_cannot_be_drawn_on_gets_one_look(desk_home: Path) -> None:
    with on_a_terminal("top", "--home", desk_home, TERM="dumb") as session:
        assert session.end() == 0
        assert "org/clip-2" in session.screen.below and session.screen.modes == set()


def test_what_asks_to_end_in_the_middle_of_something_is_heard_at_the_next_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is raised where it might be swallowed, or leave a lock behind."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "rb", buffering=0) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with Terminal().taken() as terminal:
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                terminal.key(BUSY_SECONDS)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
                terminal.key(0)
    os.close(ours)


# --- in tmux ---------------------------------------------------------------------------------------------------


class Tmux:
    """A server of its own with one window, in which `dife top` runs below a shell."""

    def __init__(self, where: Path, home: Path) -> None:
        self._socket = str(where / "tmux")
        program = (
            f"{shlex.quote(sys.executable)} -m dife_scanner top --home {shlex.quote(str(home))}"
        )
        self.call(
            *("new-session", "-d", "-x", "80", "-y", "24"),
            *("-e", "NO_COLOR=1", "-e", f"PYTHONPATH={os.pathsep.join(sys.path)}"),
            f"{program}; echo ended $?; cat",
        )

    def call(self, *arguments: str) -> str:
        command = ["tmux", "-S", self._socket, "-f", "/dev/null", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def press(self, *keys: str) -> None:
        for key in keys:
            self.call("send-keys", key)

    def shows(self, text: str) -> str:
        """Wait for a text; gives all that is on the screen, with its attributes."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            page = self.call("capture-pane", "-p", "-e")
            if text in page:
                return page
            assert time.monotonic() < end, f"{text!r} never came; {page}"
            time.sleep(0.05)


@pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")
def test_tmux_drives_it_through_a_decision_and_a_resize(decided: Top, tmp_path: Path) -> None:
    tmux = Tmux(tmp_path, decided.desk.settings.home)
    try:
        tmux.shows("[1 Overview]")
        tmux.press("3")
        tmux.shows("3 findings")
        tmux.press("d")
        tmux.shows("For shop now: 1 pending")
        tmux.press("refused", "Enter")
        tmux.shows("because")
        tmux.press("forbidden", "Enter")
        tmux.shows("Owner")
        tmux.press("Enter")
        tmux.shows("Counts until")
        tmux.call("resize-window", "-x", "64", "-y", "12")
        tmux.press("Enter")
        page = tmux.shows("is refused for shop now")
        assert not re.search(r"\x1b\[[0-9;]*[34][0-7]m", page)  # no colour
        assert all(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= 64 for line in page.split("\n"))
        tmux.press("q")
        after = tmux.shows("ended 0")
        assert "DIFE" not in after and tmux.call("display", "-p", "#{cursor_flag}").strip() == "1"
        assert tmux.call("display", "-p", "#{alternate_on}").strip() == "0"
        assert sorted(stands(decided).values()) == ["pending", "pending", "refused"]
    finally:
        tmux.call("kill-server")
