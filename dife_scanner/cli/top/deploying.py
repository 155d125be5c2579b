"""Deciding for a deployment on the screen; which decisions there may be is ruled in `store/deciding`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from dife_scanner.cli.top.prompt import Prompt
from dife_scanner.cli.top.screen import Page, Screen
from dife_scanner.errors import DifeError, StandsRefused, UsageError
from dife_scanner.records import DecisionState, Standing
from dife_scanner.sentences.decisions import kept_text, passed_text, stand_text
from dife_scanner.sentences.numbers import count
from dife_scanner.store import deciding
from dife_scanner.store.deciding import Asked, Scope

T = TypeVar("T")
_STATES = ", ".join(DecisionState)
_UNTIL = "Counts until (90d, 2027-01-31; empty: without end)"


@dataclass(frozen=True)
class Wish:
    """A decision on its way: what it is about, and what was said of it so far."""

    scope: Scope
    asked: Asked


class Deploying(Screen):
    """What the keys do that decide for a deployment."""

    def decide_for_deployment(self) -> None:
        """About the marked findings' checkpoints, or else the selected one's."""
        jobs = self._meant_jobs()
        if jobs:
            self._choose_deployment(lambda name: self._begin(self._scope(jobs, name)))

    def take_over(self) -> None:
        """Decide as before about what is like it: for one at once, for marked ones once asked."""
        jobs = self._meant_jobs()
        if jobs and self._takes_marks:
            self._choose_deployment(lambda name: self._ask_take_over(self._scope(jobs, name)))
        elif jobs:
            self._was_kept(self.desk.take_over_for(jobs[0]))

    def take_back(self) -> None:
        """Decide again as it was before the last decision of this run."""
        if not self.made_for_deployments:
            self.say("nothing was decided in this run for a deployment that could be taken back")
            return
        made = self.made_for_deployments.pop()
        done = self._in_portions(made, self.desk.take_back, "Taken back for")
        self._look()
        self.say(f"{count(len(done), 'decision')} taken back")

    def mark_alike(self) -> None:
        """Mark the findings of all models with the same effect, carried by an equal tower."""
        if self.page is not Page.FINDINGS or self.selected is None:
            return
        alike = self.desk.alike(self.selected)
        self.marks.update(alike)
        if alike:
            self.say(f"{count(len(alike), 'finding')} with this effect on an equal tower marked")
        else:
            self.say("nothing was found in the selected model that others could share")

    def _scope(self, jobs: Sequence[int], deployment: str) -> Scope:
        found = self.desk.scope(
            jobs,
            deployment,
            lambda at, total: self.show_progress(f"Looked at {at:,} of {total:,} checkpoints"),
        )
        self.say("")
        return found

    def _in_portions(
        self, things: Sequence[T], does: Callable[[Sequence[T]], list[Standing]], what: str
    ) -> list[Standing]:
        """Do it for a portion at a time, and say how far it is, where more follow.

        Raises what it raises; what was kept before that stays, and can be taken back.
        """
        done: list[Standing] = []
        try:
            for start in range(0, len(things), deciding.PORTION):
                if start:
                    self.show_progress(f"{what} {start:,} of {len(things):,}")
                done += does(things[start : start + deciding.PORTION])
        except DifeError as error:
            self._remember(done)
            if not done:
                raise
            kept = f"{count(len(done), 'decision')} kept, the others not: {error.what}"
            raise DifeError(kept, error.advice) from error
        return done

    @property
    def _takes_marks(self) -> bool:
        return self.page is Page.FINDINGS and bool(self.marks)

    def _meant_jobs(self) -> tuple[int, ...]:
        """Of marked or selected findings; says so where there are none."""
        names: tuple[str, ...] = ()
        if self._takes_marks:
            names = tuple(self.marks)
        elif self.page in (Page.FINDINGS, Page.IN_FULL) and self.selected is not None:
            names = (self.selected.fingerprint,)
        jobs = self.desk.jobs_of(names)
        if not names:
            self.say("no finding is selected")
        elif not jobs:
            self.say("its files were not recorded; `dife scan` looks at them again")
        return jobs

    def _choose_deployment(self, then: Callable[[str], None]) -> None:
        names = self.desk.deployments()
        if len(names) == 1:
            then(names[0])
        else:
            question = f"For which deployment ({', '.join(names)})"
            self.prompt = Prompt(question, lambda typed: then(_begun(typed, names)))

    # --- step by step -------------------------------------------------------------------------------------------

    def _begin(self, scope: Scope) -> None:
        if not scope.subjects:
            raise UsageError("there is nothing to decide about", "`dife scan` records the files")
        about = count(len(scope.subjects), "checkpoint")
        if len(scope.subjects) == 1:
            about = scope.subjects[0].model
        question = f"{about}. {stand_text(scope.deployment, scope.counts)} Decide as ({_STATES})"
        self.prompt = Prompt(question, lambda typed: self._set_decision(scope, typed))

    def _set_decision(self, scope: Scope, typed: str) -> None:
        state = DecisionState(_begun(typed, tuple(DecisionState)))
        self._step(Wish(scope, Asked(state, "", self.desk.actor)), "reason")

    def _step(self, wish: Wish, field: str, text: str = "") -> None:
        """Ask for one part; what may not be kept is asked for again."""
        self.prompt = Prompt(
            _question(wish, field), lambda typed: self._take(wish, field, typed), text
        )

    def _take(self, wish: Wish, field: str, typed: str) -> None:
        said = replace(wish, asked=_with(wish.asked, field, typed))
        following = _following(wish.asked.state, field)
        try:
            _check(said.asked, conditions_follow=following == "conditions")
        except UsageError:
            self._step(wish, field, typed)
            raise
        if following:
            self._step(said, following)
        elif len(said.scope.subjects) > 1:
            self._ask_yes(f"{_wished(said)}? y/n", lambda: self._keep_decision(said))
        else:
            self._keep_decision(said)

    def _ask_yes(self, question: str, then: Callable[[], None]) -> None:
        self.prompt = Prompt(question, lambda _: then(), yes_or_no=True)

    def _keep_decision(self, wish: Wish) -> None:
        many = len(wish.scope.subjects)
        if many > deciding.PORTION:  # all of them or none, so there is nothing to say in between
            self.show_progress(f"Deciding about {count(many, 'checkpoint')}…")
        try:
            done = self.desk.decide_for(wish.scope, wish.asked)
        except StandsRefused as refused:
            meant = replace(wish, asked=replace(wish.asked, despite_refusal=True))
            self._ask_yes(
                f"{refused.what}. Approve all the same? y/n", lambda: self._keep_decision(meant)
            )
        else:
            self._was_kept(done)

    def _ask_take_over(self, scope: Scope) -> None:
        passed = [passed_text(why, number) for why, number in scope.passed.items()]
        if not scope.proposals:
            raise UsageError(f"nothing can be taken over: {'; '.join(passed)}", "decide by hand")
        many = count(len(scope.proposals), "decision")
        question = "; ".join([f"Take over {many} for {scope.deployment}", *passed])
        self._ask_yes(
            f"{question}? y/n",
            lambda: self._was_kept(
                self._in_portions(
                    scope.proposals,
                    lambda part: self.desk.take_over(part, scope.deployment),
                    "Taken over for",
                )
            ),
        )

    def _remember(self, standings: Sequence[Standing]) -> None:
        """What can be taken back."""
        made = tuple(one.decision for one in standings if one.decision is not None)
        if made:
            self.made_for_deployments.append(made)

    def _was_kept(self, standings: Sequence[Standing]) -> None:
        self._remember(standings)
        if self.page is Page.FINDINGS:
            self.marks.clear()
        self._look()
        self.say(f"{kept_text(standings)}; {self.desk.settings.keys.take_back}: take back")


def _begun(typed: str, names: tuple[str, ...]) -> str:
    """The name that a word is, or begins. Raises `UsageError` for none, and for several."""
    if typed in names:
        return typed
    named = [one for one in names if one.startswith(typed)]
    if typed and len(named) == 1:
        return named[0]
    raise UsageError(f"`{typed}` names none of them alone", f"one of: {', '.join(names)}")


def _with(asked: Asked, field: str, text: str) -> Asked:
    """The same with one part more."""
    if field == "reason":
        return replace(asked, reason=text)
    if field == "conditions":
        return replace(asked, conditions=text)
    return replace(asked, owner=text) if field == "owner" else replace(asked, expires=text)


def _check(asked: Asked, *, conditions_follow: bool) -> None:
    """Raise `UsageError` where what was said so far may not be kept."""
    if conditions_follow:
        asked = replace(asked, state=DecisionState.PENDING)
    deciding.check(asked)


def _following(state: DecisionState, field: str) -> str:
    """What is asked for after a part; empty for nothing."""
    fields = ["reason", "conditions", "owner", "expires", ""]
    if state is not DecisionState.CONDITIONS:
        fields.remove("conditions")
    return fields[fields.index(field) + 1]


def _question(wish: Wish, field: str) -> str:
    asked = wish.asked
    if field == "reason":
        return f"{asked.state.value.capitalize()} for {wish.scope.deployment}, because"
    if field == "conditions":
        return "On which conditions"
    return f"Owner (empty: {asked.actor})" if field == "owner" else _UNTIL


def _wished(wish: Wish) -> str:
    scope = wish.scope
    many = count(len(scope.subjects), "checkpoint")
    stand = stand_text(scope.deployment, scope.counts)
    return f"{stand} Set {many} to {wish.asked.state.value} for {scope.deployment}"
