"""What can be a deployment's profile: the rules, each with the field that it is about. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dife_scanner.core import cards
from dife_scanner.errors import UsageError
from dife_scanner.plain import plain
from dife_scanner.records import DeploymentProfile

MOST_TEXTS = 2_000
"""Templates, classes or queries of one profile."""
MOST_K = 1_000
LONGEST_TEXT = 300
LONGEST_NAME = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PLACE = "{}"
_LISTS = ("interfaces", "templates", "classes", "queries")


@dataclass(frozen=True)
class Problem:
    """Why a profile cannot be kept."""

    field: str
    """Of `DeploymentProfile`."""
    what: str
    advice: str


def check(profile: DeploymentProfile) -> None:
    """Raise `UsageError` for the first thing that is wrong with a profile."""
    for problem in problems(profile):
        raise UsageError(problem.what, problem.advice)


def problems(profile: DeploymentProfile) -> Iterator[Problem]:
    """All that is wrong with what a profile says; its own pictures are looked at where they are read."""
    if not _NAME.fullmatch(profile.name) or len(profile.name) > LONGEST_NAME:
        yield Problem(
            "name",
            f"`{plain(profile.name, 80)}` is no name for a deployment",
            f"lower-case letters, digits, `.`, `_` and `-`, at most {LONGEST_NAME}, not beginning with a sign",
        )
    yield from _of_interfaces(profile.interfaces)
    if not (profile.classes or profile.queries):
        yield Problem(
            "classes",
            "a deployment needs class names or queries",
            "name at least one of either; on the command line with --class, --query or --file",
        )
    if not 1 <= profile.k <= MOST_K:
        yield Problem("k", f"K is {profile.k}", f"it is a number from 1 to {MOST_K}")
    for what in _LISTS:
        yield from _of_texts(what, getattr(profile, what))
    for template in profile.templates:
        if template.count(_PLACE) != 1 or set(template.replace(_PLACE, "")) & {"{", "}"}:
            yield Problem(
                "templates",
                f"`{plain(template, 80)}` is no template",
                "it has one `{}`, where the class name goes",
            )


def _of_interfaces(interfaces: Sequence[str]) -> Iterator[Problem]:
    if not interfaces:
        yield Problem(
            "interfaces",
            "a deployment needs an interface",
            "choose at least one; `dife cards` says what each is",
        )
    for interface in interfaces:
        try:
            cards.by_name(interface)
        except UsageError as error:
            yield Problem("interfaces", error.what, error.advice)


def _of_texts(what: str, texts: Sequence[str]) -> Iterator[Problem]:
    if len(texts) > MOST_TEXTS:
        yield Problem(what, f"{len(texts)} {what}", f"at most {MOST_TEXTS}")
    if len(set(texts)) < len(texts):
        yield Problem(what, f"the {what} name one of them twice", "leave one of the two out")
    for text in texts:
        # an invisible character in a class name would be another class than the one that is read
        if not text or plain(text, LONGEST_TEXT) != text:
            yield Problem(
                what,
                f"`{plain(text, 80)}` cannot stand among the {what}",
                f"one line of visible characters, at most {LONGEST_TEXT}, without spaces at either end",
            )
