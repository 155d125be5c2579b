"""What every command shares: where the state is, how to talk, and how to print a result."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dife_scanner.cli import streams
from dife_scanner.errors import DifeError
from dife_scanner.plain import plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from dife_scanner.progress import Progress
    from dife_scanner.settings import Settings
    from dife_scanner.store.db import Store


_PIPED_WIDTH = 160
"""Columns of a result that is printed into a file or a pipe."""
_UNBROKEN_WIDTH = 1 << 16
"""Columns of talk there: whoever reads it takes a line for a message."""


@dataclass(frozen=True)
class Session:
    """The options that every command has."""

    home: Path | None
    as_json: bool
    quiet: bool
    no_color: bool
    verbose: bool

    def settings(self, **given: Any) -> Settings:
        from dife_scanner import settings

        return settings.load(self.home, **given)

    @contextmanager
    def store(self, settings: Settings) -> Iterator[Store]:
        """The writable store, with the bundled references in it."""
        from dife_scanner.baselines.home import open_home

        with open_home(settings) as store:
            yield store

    @contextmanager
    def reading(self, settings: Settings) -> Iterator[Store]:
        """The store for commands that only look at it, as they may in a home that this user cannot write."""
        from dife_scanner.baselines.home import open_for_reading

        with open_for_reading(settings) as store:
            yield store

    def out(self) -> Console:
        from dife_scanner.cli.consoles import Results

        width = None if sys.stdout.isatty() else _PIPED_WIDTH
        return Results(no_color=self.no_color, highlight=False, width=width)

    def err(self) -> Console:
        from dife_scanner.cli.consoles import Talk

        width = None if sys.stderr.isatty() else _UNBROKEN_WIDTH
        return Talk(
            stderr=True, no_color=self.no_color, highlight=False, quiet=self.quiet, width=width
        )

    def say(self, text: str) -> None:
        """One line of talk on stderr, whatever a stranger wrote into it."""
        self.err().print(plain(text, 400), markup=False)

    def confirm(self) -> Callable[[str], bool] | None:
        """What puts a question to whoever sits at the terminal; `None` where nobody does."""
        at_terminal = sys.stdin.isatty() and sys.stderr.isatty()
        if self.quiet or self.as_json or not at_terminal:
            return None
        return lambda question: typer.confirm(question, default=True, err=True)

    def show(self, document: object, shown: Callable[[], RenderableType]) -> None:
        """Print a result: the JSON document with `--json`, otherwise what a person reads."""
        with streams.for_whoever_reads():
            if self.as_json:
                from dife_scanner.reports import as_json

                print(as_json.render(document))
            else:
                self.out().print(shown())

    def done(self, what: str, **details: str) -> None:
        """Print that something was done, with its details."""
        from dife_scanner.reports import as_json
        from dife_scanner.reports.layout import safe

        text = ", ".join(f"{key} {value}" for key, value in details.items())
        self.show(as_json.DoneDocument(what, details), lambda: safe(f"{what}: {text}", 400))

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Live progress on stderr; silent with `--quiet`, plain lines where stderr is no terminal."""
        from dife_scanner.cli.live import live
        from dife_scanner.progress import SILENT

        if self.quiet:
            yield SILENT
        else:
            with live(self.err()) as progress:
                yield progress


HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", envvar="DIFE_HOME", help="Directory that holds all state.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")]
ColorOption = Annotated[bool, typer.Option("--no-color", help="No colours.")]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="Say more on stderr.")]

_COMMON = {"home": HomeOption, "as_json": JsonOption, "quiet": QuietOption, "no_color": ColorOption}
_COMMON["verbose"] = VerboseOption


def takes_common_options(group: typer.Typer) -> None:
    """Let the common options stand before the name of any command in `group`, too."""

    def heard(**values: Any) -> None:
        """Nothing to do yet: the command that follows looks them up."""

    heard.__signature__ = inspect.Signature(_common_parameters())  # type: ignore[attr-defined]
    heard.__annotations__ = dict(_COMMON)
    group.callback()(heard)


def add_group(app: typer.Typer, name: str, help: str) -> typer.Typer:
    """A new group of commands, whose names are `dife NAME …`."""
    group = typer.Typer(help=help, no_args_is_help=True)
    takes_common_options(group)
    app.add_typer(group, name=name)
    return group


def command(
    group: typer.Typer, name: str
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Register `function(session, …)` as a command that also takes the common options."""

    def register(function: Callable[..., int | None]) -> Callable[..., int | None]:
        parameters = [_CONTEXT]
        for key, parameter in inspect.signature(function, eval_str=True).parameters.items():
            if key != "session":
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        parameters += _common_parameters()

        @functools.wraps(function)
        def wrapped(context: typer.Context, **values: Any) -> int | None:
            for key in _COMMON:
                values.pop(key)
            session = Session(**{key: _given(context, key) for key in _COMMON})
            _log(session)
            return function(session, **values)

        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        group.command(name)(wrapped)
        return function

    return register


def _common_parameters() -> list[inspect.Parameter]:
    parameters = []
    for key, annotation in _COMMON.items():
        default = None if key == "home" else False
        parameters.append(
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
        )
    return parameters


_CONTEXT = inspect.Parameter(
    "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
)


def _given(context: typer.Context, key: str) -> Any:
    """A common option as it was typed, the one nearest to the command's own arguments first; else its default.

    What the environment says is a default: it does not outdo what was typed before the command's name.
    """
    at: Any = context
    while at is not None:
        source = at.get_parameter_source(key)
        if source is not None and source.name == "COMMANDLINE":
            return at.params[key]
        at = at.parent
    return context.params[key]


def error_line(error: DifeError) -> list[str]:
    """An error as a person reads it: what happened, and what to do next."""
    lines = [f"dife: {plain(error.what, 1000)}"]
    if error.advice:
        lines.append(f"  try: {plain(error.advice, 1000)}")
    return lines


def _log(session: Session) -> None:
    """Only our own logger, only here."""
    ours = logging.getLogger("dife_scanner")
    ours.setLevel(logging.DEBUG if session.verbose else logging.WARNING)
    if not ours.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        ours.addHandler(handler)
