"""Commands of the benchmark of blind discovery: lab bench rows|plan|report|zoos|rivals|tune|adaptive, and lab real."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.options import EndpointOption
from dife_scanner.cli.session import Session, add_group, command

if TYPE_CHECKING:
    from dife_scanner.lab.bench.runner import RunOptions


class Base(StrEnum):
    """Bundled bases."""

    VIT = "vit"
    RN = "rn"
    WIDE = "wide"


OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Only this role (attack, twin, benign, copy), family or benign kind; of both named, what is both."
    ),
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Make at most so many.")]
MinutesOption = Annotated[
    float | None, typer.Option(min=0.0, help="Begin no model after so many minutes.")
]
BudgetOption = Annotated[str, typer.Option(help="quick, default or deep.")]
BaseOption = Annotated[Base, typer.Option(help="Which bundled base models are made of.")]
AnyConceptOption = Annotated[
    bool,
    typer.Option(
        "--any-concept", help="Models whose sources and targets are drawn from all concepts."
    ),
]
DevelopmentOption = Annotated[
    bool,
    typer.Option(
        "--development",
        help="Only the fixed 120 models that detectors are developed on; with --any-concept.",
    ),
]
RenewOption = Annotated[
    bool,
    typer.Option("--renew", help="Make rows anew that an earlier state of the source files made."),
]
UnsealOption = Annotated[
    bool, typer.Option("--unseal", help="Count sealed families too; noted in the ledger.")
]
DataOption = Annotated[Path, typer.Option(help="Folder of rows and ledger.")]
DocsOption = Annotated[Path, typer.Option(help="Where the page goes.")]
WorkOption = Annotated[
    Path | None,
    typer.Option(
        help="Keep built models here for other detectors; a temporary folder if left out."
    ),
]
_DATA = Path("benchmarks")
_DOCS = Path("docs")


def register(lab: typer.Typer) -> None:
    """Add `bench` with its commands, and `real`, to the group `lab`."""
    words = "Benchmark blind discovery on attacks, clean twins and benign models; one row per model is kept."
    bench = add_group(lab, "bench", words)
    command(bench, "rows")(rows)
    command(bench, "plan")(plan)
    command(bench, "report")(report)
    command(bench, "zoos")(zoos)
    command(bench, "rivals")(rivals)
    command(bench, "tune")(tune)
    command(bench, "adaptive")(adaptive)
    command(lab, "real")(real)


def rows(
    session: Session,
    only: OnlyOption = None,
    limit: LimitOption = None,
    minutes: MinutesOption = None,
    budget: BudgetOption = "quick",
    base: BaseOption = Base.VIT,
    any_concept: AnyConceptOption = False,
    development: DevelopmentOption = False,
    renew: RenewOption = False,
    data: DataOption = _DATA,
    work: WorkOption = None,
) -> None:
    """Build models of the zoo, audit each without knowing what was planted, and keep one row per model. Resumes.

    Weights are thrown away once a model has its row.
    """
    from dife_scanner.lab.bench import runner
    from dife_scanner.lab.bench.rows import folder_of

    options = runner.RunOptions(
        tuple(only or ()),
        limit,
        minutes,
        renew,
        budget,
        base.value,
        any_concept,
        development,
    )
    folder = folder_of(data, base.value, any_concept=any_concept)
    say = _speaker(session)
    say("\n".join(_plan_lines(folder, options)))
    with _workplace(work) as room:
        made = runner.run(folder, room, options, keep=work is not None, say=say)
    _done(session, "rows", made)


def plan(
    session: Session,
    only: OnlyOption = None,
    budget: BudgetOption = "quick",
    base: BaseOption = Base.VIT,
    any_concept: AnyConceptOption = False,
    development: DevelopmentOption = False,
    renew: RenewOption = False,
    data: DataOption = _DATA,
) -> None:
    """Print what is left to do, in models and hours. Makes nothing."""
    from rich.text import Text

    from dife_scanner.lab.bench import runner
    from dife_scanner.lab.bench.rows import folder_of
    from dife_scanner.reports import as_json

    options = runner.RunOptions(
        only=tuple(only or ()),
        renew=renew,
        budget=budget,
        base=base.value,
        any_concept=any_concept,
        development=development,
    )
    folder = folder_of(data, base.value, any_concept=any_concept)
    lines = _plan_lines(folder, options)
    session.show(
        as_json.DoneDocument("benchmarked", {"left": lines[-1]}), lambda: Text("\n".join(lines))
    )


def report(
    session: Session,
    budget: BudgetOption = "quick",
    unseal: UnsealOption = False,
    data: DataOption = _DATA,
    docs: DocsOption = _DOCS,
) -> None:
    """Write the page, the calibration packs and the power tables from the rows there are. Makes no row."""
    from rich.text import Text

    from dife_scanner.lab.bench.page import writing
    from dife_scanner.reports import as_json

    written = writing.report(data, docs, budget=budget, unsealed=unseal)
    lines = [f"{what}: {where}" for what, where in written.items()]
    session.show(as_json.DoneDocument("benchmarked", written), lambda: Text("\n".join(lines)))


def zoos(
    session: Session,
    development: Annotated[
        bool,
        typer.Option("--development", help="Only the development side; no page, no test row."),
    ] = False,
    unseal: UnsealOption = False,
    data: DataOption = _DATA,
    docs: DocsOption = _DOCS,
) -> None:
    """Compare every base, by labelled classes and any concept: found, alarms, targets, cost, each miss. Makes no row.

    Writes the page of it. A look at test rows is noted in the ledger.
    """
    from dife_scanner.lab.bench.page import zoo_files
    from dife_scanner.lab.bench.results.by_zoo import Side
    from dife_scanner.reports import as_json
    from dife_scanner.reports.benchmark import zoo_table

    side = Side.DEVELOPMENT if development else Side.TEST
    found = zoo_files.read(data, side, unsealed=unseal)
    page = ""
    if not development:
        page = str(zoo_files.write(data, docs, found, unsealed=unseal))
        _speaker(session)(f"page: {page}")
    session.show(as_json.ZoosDocument(found, page), lambda: zoo_table(found))


def rivals(
    session: Session,
    only: OnlyOption = None,
    limit: LimitOption = None,
    minutes: MinutesOption = None,
    data: DataOption = _DATA,
    work: WorkOption = None,
) -> None:
    """Measure published detectors and ablations of our own on models that have a row. Resumes."""
    from dife_scanner.lab.rivals import entries
    from dife_scanner.lab.rivals.statistics import RIVALS

    detectors = tuple(RIVALS.values())
    with _workplace(work) as room:
        made = entries.run(
            data,
            room,
            detectors,
            limit,
            minutes,
            _speaker(session),
            tuple(only or ()),
        )
    _done(session, "entries", made)


def tune(session: Session, data: DataOption = _DATA, work: WorkOption = None) -> None:
    """Tune published detectors on models of the development side. Resumes."""
    from dife_scanner.lab.rivals import tuning

    with _workplace(work) as room:
        made = tuning.run(data, room, _speaker(session))
    _done(session, "efforts tried", made)


def adaptive(
    session: Session,
    limit: LimitOption = None,
    minutes: MinutesOption = None,
    data: DataOption = _DATA,
    work: WorkOption = None,
) -> None:
    """Change one model of each attack family afterwards, to hide the attack, and audit it again. Resumes."""
    from dife_scanner.lab.bench import adaptive as attacks

    with _workplace(work) as room:
        made = attacks.run(data, room, limit, minutes, _speaker(session))
    _done(session, "changed models", made)


def _plan_lines(folder: Path, options: RunOptions) -> list[str]:
    from dife_scanner.lab.bench import runner

    return runner.plan_lines(runner.estimates(folder, options), runner.sides(folder, options))


def _speaker(session: Session) -> Callable[[str], None]:
    """A function that prints a text to stderr."""
    console = session.err()

    def say(text: str) -> None:
        console.print(text, markup=False)

    return say


@contextmanager
def _workplace(work: Path | None) -> Iterator[Path]:
    """The folder in which models are built: the one named, or one that is gone afterwards."""
    if work is not None:
        yield work.expanduser().absolute()
        return
    with tempfile.TemporaryDirectory(prefix="dife-bench-") as scratch:
        yield Path(scratch)


def _done(session: Session, what: str, made: int) -> None:
    from rich.text import Text

    from dife_scanner.reports import as_json

    session.show(
        as_json.DoneDocument("benchmarked", {what: str(made)}), lambda: Text(f"{made} {what} made")
    )


def real(
    session: Session,
    base: Annotated[
        list[str] | None, typer.Option(help="Repository of a base; repeatable.")
    ] = None,
    poisoned: Annotated[
        str | None,
        typer.Option(
            help="The hub's search for checkpoints published as poisoned; empty for none."
        ),
    ] = None,
    n: Annotated[
        int, typer.Option(min=1, max=2000, help="Fine-tunes per base, one per author.")
    ] = 100,
    implants: Annotated[
        int, typer.Option(min=0, max=30, help="Implants per family and base, made here.")
    ] = 5,
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Begin nothing after so many minutes.")
    ] = None,
    budget: BudgetOption = "quick",
    endpoint: EndpointOption = None,
    docs: DocsOption = _DOCS,
) -> None:
    """Benchmark on a real hub: fine-tunes of real bases, implants made here, published poisoned models. Resumes."""
    from rich.text import Text

    from dife_scanner import records
    from dife_scanner.app import scanning, wiring
    from dife_scanner.lab.bench import real_hub
    from dife_scanner.lab.bench.page.real_hub import write
    from dife_scanner.plain import plain
    from dife_scanner.reports import as_json

    settings = session.settings(endpoint=endpoint)
    work = scanning.scan_work(
        settings,
        (),
        budget=records.Budget(budget),
        data=scanning.Data(),
        blind=True,
    )
    options = real_hub.RunOptions(
        work=work,
        bases=tuple(base or real_hub.BASES),
        poisoned=real_hub.POISONED if poisoned is None else poisoned,
        n=n,
        draws=implants,
        minutes=minutes,
    )
    say = _speaker(session)
    with session.store(settings) as store:
        # The page is written whatever happens: an error ends the run, and what was made stays.
        try:
            with session.progress() as progress:
                real_hub.run(
                    store,
                    options,
                    wiring.hub(settings),
                    lambda text: say(plain(text, 400)),
                    progress,
                )
        finally:
            page = str(write(store, options, docs))
    session.show(as_json.DoneDocument("benchmarked", {"page": page}), lambda: Text(f"page: {page}"))
