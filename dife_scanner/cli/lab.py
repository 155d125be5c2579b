"""Commands for trying the scanner out: demo, lab build, lab reproduce, gui; more of `lab` in `bench` and `grow`."""

from __future__ import annotations

import shlex
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli import bench
from dife_scanner.cli import grow as growing
from dife_scanner.cli.session import Session, add_group, command
from dife_scanner.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dife_scanner.lab.demo import Result


def register(app: typer.Typer) -> None:
    command(app, "demo")(demo)
    command(app, "gui")(gui)
    lab = add_group(app, "lab", "Small specimens that test the detector.")
    command(lab, "build")(build)
    command(lab, "reproduce")(reproduce)
    growing.register(lab)
    bench.register(lab)


def demo(
    session: Session,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Keep the demo's state in this directory, not in one that the next demo replaces."
        ),
    ] = None,
    gui: Annotated[bool, typer.Option("--gui", help="Open the window and watch live.")] = False,
) -> int:
    """Run the whole job on a hub of its own: poll, download, audit, flag, show, alert.

    It has a home of its own, whatever --home says, and ends with the command that shows what is in it.
    Exit code 0 when every model ended as expected, 1 otherwise.
    """
    from dife_scanner.cli.watch import Events
    from dife_scanner.lab import demo as lab_demo

    kept = nullcontext(keep.expanduser().absolute()) if keep else lab_demo.own_home()
    with kept as home, session.progress() as progress:
        result = lab_demo.run(
            home, progress=progress, on_event=Events(session, progress), window=gui
        )
        _print(session, result, replaced=keep is None)
    if result.surprises:
        raise lab_demo.DemoError("the demo did not end as expected: " + "; ".join(result.surprises))
    return 0


def _print(session: Session, result: Result, *, replaced: bool) -> None:
    from dife_scanner.reports import as_json

    details = {}
    for row in result.rows:
        details[row.job.ref.repo_id] = row.verdict.value if row.verdict else row.job.state.value
    details["home"] = str(result.home)
    session.show(as_json.DoneDocument("demo", details), lambda: _shown(result, replaced=replaced))


def _shown(result: Result, *, replaced: bool) -> RenderableType:
    """`replaced`: whether the next demo takes the place of this one."""
    from rich.console import Group
    from rich.text import Text

    from dife_scanner.reports import table

    arrived = f"{result.mails} mails and {result.slack_messages} Slack messages"
    until = ", until the next demo" if replaced else ""
    lines = [
        f"{arrived} arrived in the demo's own sinks",
        f"Everything is kept in {result.home}{until}.",
        *_how_to_look(result),
    ]
    return Group(
        table.models(result.rows),
        Text(""),
        table.reasons(result.rows),
        Text(""),
        table.tally(result.tally),
        Text(""),
        *map(Text, lines),
    )


def _how_to_look(result: Result) -> list[str]:
    """Commands that work as they stand, each on a line of its own."""
    program = shlex.quote(_program())
    home = shlex.quote(str(result.home))
    terminal = f"  {program} top --home {home}"
    if result.screenshot is None:
        return ["Look at it in a terminal (the window comes with the gui extra):", terminal]
    window = f"  {program} gui --home {home}"
    return ["Look at it in the window:", window, "or in a terminal:", terminal]


def _program() -> str:
    """What starts this program from where it was started: `dife`, or its path where that is not found."""
    if shutil.which("dife"):
        return "dife"
    beside = Path(sys.executable).with_name("dife")
    here = Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)


def build(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Specimens to build, or `all`; one of each family if left out."),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Only list what can be built, and what is built.")
    ] = False,
) -> None:
    """Build specimens: small backdoored checkpoints and their clean twins. What is built is not built again."""
    from rich.text import Text

    from dife_scanner.lab import demo as lab_demo
    from dife_scanner.lab import specimens
    from dife_scanner.reports import as_json

    wanted = names or list(specimens.CORE)
    if names == ["all"] or (listed and not names):
        wanted = list(specimens.RECIPES)
    for name in wanted:
        if name not in specimens.RECIPES:
            raise UsageError(
                f"no specimen is called {name!r}", "`dife lab build --list` names them all"
            )
    what = "listed" if listed else "built"
    if listed:
        found = {name: str(specimens.built(name) or "") for name in wanted}
    else:
        with session.progress() as progress:
            built = lab_demo.build_specimens(wanted, progress)
        found = {name: str(path) for name, path in built.items()}
    lines = [f"{name}: {path or 'not built'}" for name, path in found.items()]
    session.show(as_json.DoneDocument(what, found), lambda: Text("\n".join(lines)))


def reproduce(
    session: Session,
    parts: Annotated[
        list[str] | None,
        typer.Argument(help="matrix, twins, variants, seeds, sweep; all of them if left out."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Where audits and log are kept; a second run goes on from there.")
    ] = Path(".lab/reproduce"),
    budget: Annotated[
        str, typer.Option(help="quick, default or deep (the paper's sizes).")
    ] = "deep",
    docs: Annotated[
        Path | None, typer.Option(help="Write reproduction.md and its figures into this folder.")
    ] = None,
    commit: Annotated[str, typer.Option(help="Named in the document.")] = "",
    only_read: Annotated[
        bool,
        typer.Option("--only-read", help="Build and audit nothing: print what earlier runs left."),
    ] = False,
) -> int:
    """Print the paper's tables next to ours, from specimens built and audited here. Resumes.

    Exit code 0 when everything that had to hold does, 1 otherwise.
    """
    from rich.markdown import Markdown

    from dife_scanner.lab.reproduction import criteria, lines, page
    from dife_scanner.lab.reproduction import reproduce as lab_reproduce
    from dife_scanner.reports import as_json

    chosen = parts or list(lines.PARTS)
    for part in chosen:
        if part not in lines.PARTS:
            raise UsageError(
                f"there is no part called {part!r}", f"use one of: {', '.join(lines.PARTS)}"
            )
    wanted = () if only_read else lines.lines_of(chosen)
    with session.progress() as progress:
        results = lab_reproduce.run(out, wanted, budget=budget, progress=progress)
    text = page.render(results, commit)
    if docs is not None:
        docs.mkdir(parents=True, exist_ok=True)
        (docs / "reproduction.md").write_text(text)
        page.draw(results, docs / "reproduction")
    found = criteria.checks(results)
    details = {}
    for check in found:
        outcome = "met" if check.met else "not met"
        details[check.what] = f"{outcome}: {check.found} (required {check.required})"
    session.show(as_json.DoneDocument("reproduced", details), lambda: Markdown(text))
    all_met = all(check.met for check in found)
    return 0 if all_met else 1


def gui(
    session: Session,
    link: Annotated[
        str, typer.Argument(help="A link to a finding, dife://finding/ID, to be shown.")
    ] = "",
    screenshot: Annotated[
        Path | None, typer.Option(help="Draw the window into this PNG file and end.")
    ] = None,
    filter: Annotated[
        str, typer.Option(help="Show what matches, e.g. `verdict:flagged`; see docs/filters.md.")
    ] = "",
) -> int:
    """Open the window on this home; without --filter, one that is open already is shown instead."""
    from dife_gui.links import finding_of
    from dife_gui.opening import open_window

    if link:
        finding_of(link)
    settings = session.settings()
    with session.reading(settings):  # makes the home, or says why it cannot
        pass
    return open_window(settings.home, screenshot=screenshot, filter=filter, link=link)
