"""Commands for trying the scanner out: demo, lab build, lab reproduce, lab bench, gui."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.scan import EndpointOption
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
    command(lab, "bench")(bench)
    command(lab, "real")(real)


def demo(
    session: Session,
    keep: Annotated[Path | None, typer.Option(help="Keep the demo's state in this directory.")] = None,
    gui: Annotated[bool, typer.Option("--gui", help="Open the window and watch live.")] = False,
) -> int:
    """Run the whole job on a hub of its own: poll, download, audit, flag, show, alert.

    Exit code 0 when every model ended as expected, 1 otherwise.
    """
    from dife_scanner.cli.scan import Events
    from dife_scanner.lab import demo as lab_demo

    with tempfile.TemporaryDirectory(prefix="dife-demo-") as scratch, session.progress() as progress:
        home = keep.expanduser().absolute() if keep else Path(scratch)
        result = lab_demo.run(home, progress=progress, on_event=Events(session, progress), window=gui)
        _print(session, result, kept=keep is not None)
    if result.surprises:
        raise lab_demo.DemoError("the demo did not end as expected: " + "; ".join(result.surprises))
    return 0


def _print(session: Session, result: Result, *, kept: bool) -> None:
    from rich.console import Group
    from rich.text import Text

    from dife_scanner.reports import as_json, table

    lines = [
        f"{result.mails} mails and {result.slack_messages} Slack messages arrived in the demo's own sinks",
        f"the window: {result.screenshot or 'install the gui extra to see it'}" if kept else "",
        f"everything is kept in {result.home}; look at it with `dife gui --home {result.home}`" if kept else "",
    ]
    details = {row.job.ref.repo_id: row.verdict.value if row.verdict else row.job.state.value for row in result.rows}

    def shown() -> RenderableType:
        said = [Text(line) for line in lines if line]
        parts = table.models(result.rows), Text(""), table.reasons(result.rows), Text(""), table.tally(result.tally)
        return Group(*parts, Text(""), *said)

    session.show(as_json.DoneDocument("demo", details), shown)


def build(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(help="Specimens to build, or `all`; one of each family if left out.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Only list what can be built, and what is built.")] = False,
) -> None:
    """Build specimens: small backdoored checkpoints and their clean twins. What is built is not built again."""
    from rich.text import Text

    from dife_scanner.lab import demo as lab_demo
    from dife_scanner.lab import specimens
    from dife_scanner.reports import as_json

    wanted = list(specimens.RECIPES) if names == ["all"] or (listed and not names) else names or list(specimens.CORE)
    if unknown := [name for name in wanted if name not in specimens.RECIPES]:
        raise UsageError(f"no specimen is called {unknown[0]!r}", "`dife lab build --list` names them all")
    if listed:
        found = {name: str(specimens.built(name) or "") for name in wanted}
        words = "\n".join(f"{name}: {path or 'not built'}" for name, path in found.items())
        session.show(as_json.DoneDocument("listed", found), lambda: Text(words))
        return
    with session.progress() as progress:
        built = {name: str(path) for name, path in lab_demo.build_specimens(wanted, progress).items()}
    words = "\n".join(f"{name}: {path}" for name, path in built.items())
    session.show(as_json.DoneDocument("built", built), lambda: Text(words))


def reproduce(
    session: Session,
    parts: Annotated[
        list[str] | None, typer.Argument(help="matrix, twins, variants, seeds, sweep; all of them if left out.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where audits and log are kept; a second run goes on from there.")] = Path(
        ".lab/reproduce"
    ),
    budget: Annotated[str, typer.Option(help="quick, default or deep (the paper's sizes).")] = "deep",
    docs: Annotated[Path | None, typer.Option(help="Write reproduction.md and its figures into this folder.")] = None,
    commit: Annotated[str, typer.Option(help="Named in the document.")] = "",
    only_read: Annotated[
        bool, typer.Option("--only-read", help="Build and audit nothing: print what earlier runs left.")
    ] = False,
) -> int:
    """Print the paper's tables beside ours, from specimens built and audited here. Resumes.

    Exit code 0 when everything that had to hold does, 1 otherwise.
    """
    from rich.markdown import Markdown

    from dife_scanner.lab import demands, reproduction
    from dife_scanner.lab import reproduce as lab_reproduce
    from dife_scanner.reports import as_json

    chosen = parts or list(lab_reproduce.PARTS)
    if unknown := [part for part in chosen if part not in lab_reproduce.PARTS]:
        raise UsageError(f"there is no part called {unknown[0]!r}", f"use one of: {', '.join(lab_reproduce.PARTS)}")
    wanted = () if only_read else lab_reproduce.lines_of(chosen)
    with session.progress() as progress:
        results = lab_reproduce.run(out, wanted, budget=budget, progress=progress)
    text = reproduction.page(results, commit)
    if docs is not None:
        docs.mkdir(parents=True, exist_ok=True)
        (docs / "reproduction.md").write_text(text)
        reproduction.draw(results, docs / "reproduction")
    found = demands.checks(results)
    details = {
        check.what: f"{'met' if check.met else 'not met'}: {check.found} (asked {check.asked})" for check in found
    }
    session.show(as_json.DoneDocument("reproduced", details), lambda: Markdown(text))
    return 0 if all(check.met for check in found) else 1


class Base(StrEnum):
    """Bundled bases."""

    VIT = "vit"
    RN = "rn"


def bench(
    session: Session,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this role (attack, twin, benign, copy), family or benign kind; of both named, what is both."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Make at most so many rows.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.0, help="Begin no model after so many minutes.")] = None,
    budget: Annotated[str, typer.Option(help="quick, default or deep.")] = "quick",
    base: Annotated[Base, typer.Option(help="Which bundled base models are made of.")] = Base.VIT,
    renew: Annotated[
        bool, typer.Option("--renew", help="Make rows anew that an earlier state of the source files made.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only print what is left to do, in models and hours.")] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Make no row: write the page and the calibration pack from the rows.")
    ] = False,
    against: Annotated[
        bool, typer.Option("--rivals", help="Measure published ideas and ablations on models that have a row.")
    ] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Tune published ideas on models of the development side.")
    ] = False,
    hidden: Annotated[
        bool, typer.Option("--adaptive", help="Change one model of each attack family afterwards, and audit it again.")
    ] = False,
    unseal: Annotated[bool, typer.Option("--unseal", help="Count sealed families too; noted in the ledger.")] = False,
    data: Annotated[Path, typer.Option(help="Folder of rows and ledger.")] = Path("benchmarks"),
    docs: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("docs"),
    work: Annotated[
        Path | None, typer.Option(help="Keep built models here for other detectors; a temporary folder if left out.")
    ] = None,
) -> None:
    """Benchmark blind discovery: build attacks, twins and benign models, audit each, keep one row per model. Resumes.

    Weights are thrown away once a model has its row.
    """
    from rich.text import Text

    from dife_scanner.lab.bench import adaptive, contest, rows, runner, tuning, writing
    from dife_scanner.lab.bench.rivals import RIVALS
    from dife_scanner.reports import as_json

    asked = runner.Asked(tuple(only or ()), limit, minutes, renew, budget, base.value)
    folder = rows.folder_of(data, base.value)
    lines = runner.plan_lines(runner.estimates(folder, asked), runner.sides(folder, asked))
    if plan or report:
        done = writing.report(data, docs, budget=budget, unsealed=unseal) if report else {"left": lines[-1]}
        shown = [f"{what}: {where}" for what, where in done.items()] if report else lines
        session.show(as_json.DoneDocument("benchmarked", done), lambda: Text("\n".join(shown)))
        return
    console = session.err()
    console.print("\n".join(lines), markup=False)

    def say(text: str) -> None:
        console.print(text, markup=False)

    with tempfile.TemporaryDirectory(prefix="dife-bench-") as scratch:
        room = work.expanduser().absolute() if work is not None else Path(scratch)
        if against:
            made, what = contest.run(data, room, tuple(RIVALS.values()), limit, minutes, say, asked.only), "entries"
        elif tune:
            made, what = tuning.run(data, room, say), "efforts tried"
        elif hidden:
            made, what = adaptive.run(data, room, limit, minutes, say), "changed models"
        else:
            made, what = runner.run(folder, room, asked, keep=work is not None, say=say), "rows"
    session.show(as_json.DoneDocument("benchmarked", {what: str(made)}), lambda: Text(f"{made} {what} made"))


def real(
    session: Session,
    base: Annotated[list[str] | None, typer.Option(help="Repository of a base; repeatable.")] = None,
    poisoned: Annotated[
        str | None, typer.Option(help="The hub's search for checkpoints published as poisoned; empty for none.")
    ] = None,
    n: Annotated[int, typer.Option(min=1, max=2000, help="Fine-tunes per base, one per author.")] = 100,
    implants: Annotated[int, typer.Option(min=0, max=30, help="Implants per family and base, made here.")] = 5,
    minutes: Annotated[float | None, typer.Option(min=0.0, help="Begin nothing after so many minutes.")] = None,
    budget: Annotated[str, typer.Option(help="quick, default or deep.")] = "quick",
    endpoint: EndpointOption = None,
    docs: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("docs"),
) -> None:
    """Benchmark on a real hub: fine-tunes of real bases, implants made here, published poisoned models. Resumes."""
    from rich.text import Text

    from dife_scanner.app import scanning, wiring
    from dife_scanner.core.plain import plain
    from dife_scanner.lab.bench import real as benchmark
    from dife_scanner.records import Budget
    from dife_scanner.reports import as_json

    settings, console = session.settings(endpoint=endpoint), session.err()
    work = scanning.scan_work(settings, (), budget=Budget(budget), data=scanning.Data(), blind=True)
    asked = benchmark.Asked(
        work, tuple(base or benchmark.BASES), benchmark.POISONED if poisoned is None else poisoned, n, implants, minutes
    )

    def say(text: str) -> None:
        console.print(plain(text, 400), markup=False)

    with session.store(settings) as store:
        try:
            with session.progress() as progress:
                benchmark.run(store, asked, wiring.hub(settings), say, progress)
        finally:
            page = str(benchmark.write(store, asked, docs))
    session.show(as_json.DoneDocument("benchmarked", {"page": page}), lambda: Text(f"page: {page}"))


def gui(
    session: Session,
    screenshot: Annotated[Path | None, typer.Option(help="Draw the window into this PNG file and end.")] = None,
    filter: Annotated[str, typer.Option(help="Show what matches, e.g. `verdict:flagged`.")] = "",
) -> int:
    """Open the window on this home."""
    try:
        from dife_gui.app import main
    except ImportError as error:
        raise UsageError(
            f"the window cannot be opened: {error.name or 'PySide6'} is not installed",
            "pip install 'dife-scanner[gui]'",
        ) from error
    settings = session.settings()
    with session.store(settings):
        pass
    return int(main(settings.home, screenshot=screenshot, filter=filter))
