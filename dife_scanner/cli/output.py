"""Where the result of a scan goes and in which form: terminal or file, table, JSON, CSV or Markdown, and figures."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.cli import streams
from dife_scanner.cli.session import Session
from dife_scanner.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dife_scanner.reports.study import Study

_FILE_WIDTH = 160


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


@dataclass(frozen=True)
class Output:
    """Where and in which format a result is written, from the command line's options."""

    format: Format
    file: Path | None = None
    figures: Path | None = None

    @classmethod
    def from_options(
        cls, session: Session, format: Format | None, file: Path | None, figures: Path | None
    ) -> Output:
        """The output these options describe. Raises `UsageError` where two contradict, or a place cannot be written."""
        if session.as_json and format not in (None, Format.JSON):
            raise UsageError(
                f"--json and --format {format} contradict each other", "give one of the two"
            )
        found = cls(Format.JSON if session.as_json else format or Format.TABLE, file, figures)
        if file is not None:
            _check_file(file)
        if figures is not None:
            from dife_scanner.reports.figures import check_folder

            check_folder(figures)
        return found

    def show(
        self, session: Session, document: object, study: Study, table: Callable[[], RenderableType]
    ) -> None:
        """Write the result to its place; `document` is what JSON holds, `table` what a person reads."""
        if self.figures is not None:
            from dife_scanner.reports import figures

            written = figures.write(study, self.figures)
            message = f"{len(written)} files of figures in {self.figures}"
            session.err().print(
                message if written else "no numbers to draw figures of", markup=False
            )
        if self.format is Format.TABLE and self.file is None:
            with streams.for_whoever_reads():
                session.out().print(table())
            return
        text = self._text(document, study, table)
        if self.file is None:
            with streams.for_whoever_reads():
                sys.stdout.write(text)
            return
        try:
            self.file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise _unwritable(self.file, error) from error
        session.err().print(f"written to {self.file}", markup=False)

    def _text(self, document: object, study: Study, table: Callable[[], RenderableType]) -> str:
        from dife_scanner.reports import as_csv, as_json, markdown

        if self.format is Format.JSON:
            return as_json.render(document) + "\n"
        if self.format is Format.CSV:
            return as_csv.render(study)
        if self.format is Format.MARKDOWN:
            return markdown.render(study)
        return _as_text(table())


def _as_text(table: RenderableType) -> str:
    """What a terminal would show, without colours."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=_FILE_WIDTH, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _check_file(file: Path) -> None:
    """Before anything long begins. An existing file is only opened, a new one made and taken away again."""
    existed = file.exists()
    try:
        file.open("ab").close()
        if not existed:
            file.unlink()
    except OSError as error:
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{file} cannot be written: {error.strerror or error}", "give --output a file you can write"
    )
