"""What keys do besides moving: decide about findings, and ask for something of the queue."""

from __future__ import annotations

from collections.abc import Callable

from dife_scanner.cli.top.deciding import DAY_ASKED, STATES, Decision, question_of, state_of
from dife_scanner.cli.top.deploying import Deploying
from dife_scanner.cli.top.prompt import Prompt
from dife_scanner.cli.top.screen import Page
from dife_scanner.errors import Overtaken
from dife_scanner.records import TriageState
from dife_scanner.sentences.triage import findings_text, redone_text, state_words, undone_text
from dife_scanner.store.requests import RequestKind


class Top(Deploying):
    """The whole desk: every action of `keys.KEYS` is a method."""

    # --- deciding ---

    def confirm(self) -> None:
        self._decide(TriageState.CONFIRMED)

    def false_positive(self) -> None:
        self._decide(TriageState.FALSE_POSITIVE)

    def accept_risk(self) -> None:
        self._decide(TriageState.ACCEPTED_RISK)

    def take_on(self) -> None:
        self._decide(TriageState.TRIAGING)

    def decide_with_note(self) -> None:
        self._decide(None, wants_note=True)

    def decide_about_many(self) -> None:
        if self.page is Page.FINDINGS and self.listed.rows:
            about = self.marks or self.desk.all_of(self.listed.filter)
            self._go_on(Decision(dict(about), wants_note=True))

    def _decide(self, state: TriageState | None, *, wants_note: bool = False) -> None:
        about = self._about_selected()
        if self.page is Page.FINDINGS and self.marks:
            about = dict(self.marks)
        if not about:
            self.say("no finding is selected")
        else:
            self._go_on(Decision(about, state, wants_note))

    def _about_selected(self) -> dict[str, int]:
        if self.page is Page.IN_FULL and self.in_full is not None and self.selected is not None:
            events = self.in_full.events
            return {self.selected.fingerprint: events[-1].id if events else 0}
        if self.page is Page.FINDINGS and self.selected is not None:
            return {self.selected.fingerprint: self.listed.seen[self.selected.fingerprint]}
        return {}

    def _go_on(self, made: Decision) -> None:
        """Ask for what is missing, or keep it."""
        if made.state is None:
            self._ask(f"Decide as ({STATES.removeprefix('one of: ')})", made, self._set_state)
        elif made.lacks_note:
            self._ask(f"{state_words(made.state)}, because", made, self._set_note)
        elif made.lacks_until:
            self._ask(DAY_ASKED[made.state], made, self._set_until)
        elif made.lacks_agreement:
            question = question_of(made, self.desk.by_state(made.about))
            self._ask(question, made, self._agree)
            assert self.prompt is not None
            self.prompt.yes_or_no = True
        else:
            self._keep(made, made.state)

    def _ask(
        self, question: str, made: Decision, then: Callable[[Decision, str], None], text: str = ""
    ) -> None:
        self.prompt = Prompt(question, lambda typed: then(made, typed), text)

    def _set_state(self, made: Decision, text: str) -> None:
        try:
            made.state = state_of(text)
        finally:
            self._go_on(made)

    def _set_note(self, made: Decision, text: str) -> None:
        made.note = text
        self._go_on(made)

    def _set_until(self, made: Decision, text: str) -> None:
        made.until = text
        self._go_on(made)

    def _agree(self, made: Decision, text: str) -> None:
        made.agreed = True
        self._go_on(made)

    def _keep(self, made: Decision, state: TriageState) -> None:
        if len(made.about) > 1:  # all of them or none, so there is nothing to say in between
            self.show_progress(f"Deciding about {findings_text(len(made.about))}…")
        try:
            act = self.desk.decide(state, made.about, made.note or "", made.until or "")
        except Overtaken:
            self.marks = self.desk.seen_again(self.marks)
            self._look()
            raise
        self._acts.append(act.number)
        self._undone.clear()
        many, undo = findings_text(len(act.fingerprints)), self.desk.settings.keys.undo
        self.say(f"{many} set to {state_words(state)}; {undo}: take back")
        one_of_list = not self.marks and self.page is Page.FINDINGS
        self.marks.clear()
        at = self.at[Page.FINDINGS]
        self._look()
        if one_of_list and self.at[Page.FINDINGS] == at and self._is_still(at, act.fingerprints):
            self._go(Page.FINDINGS, at + 1)  # the next finding comes by itself

    def _is_still(self, at: int, fingerprints: tuple[str, ...]) -> bool:
        rows = self.listed.rows
        return at < len(rows) and rows[at].fingerprint in fingerprints

    def undo(self) -> None:
        """Take back what was decided last in this run."""
        if not self._acts:
            self.say("nothing was decided in this run that could be taken back")
            return
        done = self.desk.undo(self._acts.pop())
        self._undone.append(done.act)
        self._look()
        self.say(f"{undone_text(done)}; {self.desk.settings.keys.redo}: decide it again")

    def redo(self) -> None:
        """Decide again what was taken back last in this run."""
        if not self._undone:
            self.say("nothing was taken back in this run since the last decision")
            return
        done = self.desk.redo(self._undone.pop())
        self._acts.append(done.act)
        self._look()
        self.say(redone_text(done))

    # --- the queue ---

    def retry(self) -> None:
        """Queue the selected job again, where it is stuck."""
        if self.page is Page.QUEUE and self.stuck_job is not None:
            self._request(RequestKind.RETRY, self.stuck_job.id)

    def put_first(self) -> None:
        """Let the selected job go first, where it waits."""
        if self.page is Page.QUEUE and self.waiting_job is not None:
            self._request(RequestKind.FRONT, self.waiting_job.id)

    def pause(self) -> None:
        """Pause the queue, or let it go on."""
        if self.page is Page.QUEUE and self.queue is not None:
            self._request(RequestKind.RESUME if self.queue.paused else RequestKind.PAUSE)

    def _request(self, kind: RequestKind, job: int | None = None) -> None:
        self.desk.ask(kind, job)
        self._look()
        self.say("asked; the watcher does it, once one runs")
