"""Write what the list shows as a file for others: the window asks for format and place, and `dife export` does it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from dife_gui.views import theme
from dife_gui.views.text import Label, small
from dife_gui.watching import dife, scanner
from dife_scanner.sentences import plain

FORMATS: tuple[tuple[str, str, str], ...] = (
    ("html", "A page for people", "html"),
    ("md", "Markdown, for an issue", "md"),
    ("csv", "A spreadsheet", "csv"),
    ("json", "JSON, everything", "json"),
    ("sarif", "SARIF, for code scanning", "sarif"),
    ("cyclonedx", "CycloneDX 1.6, a bill of models with VEX", "cdx.json"),
    ("cyclonedx-1.7", "CycloneDX 1.7, the same", "1.7.cdx.json"),
    ("avid", "AVID reports, a line each", "avid.jsonl"),
    ("stix", "STIX 2.1, for threat exchange", "stix.json"),
)
"""As `dife export --format` takes them, in words, and how their files' names end."""
_WIDTH = 34
"""Of the dialog, in lines of text."""
_CLOSING_MILLISECONDS = 2000
"""How long a closing window waits for a command that it broke off."""


class ExportDialog(QDialog):
    """Emits `wished` with the command's arguments; stays open until the file is there, and says why it is not."""

    wished = Signal(object, object)
    """Arguments of `dife`, and where the file will be."""

    def __init__(self, filter: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export")
        self.setAccessibleName("Export")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self._filter = filter
        self._replaces = ""
        """A file that there is already, and that somebody said is to be replaced."""
        self.format = self._new_format()
        self.file = QLineEdit(str(Path.home() / f"dife.{FORMATS[0][2]}"))
        self.file.setAccessibleName("File")
        self.browse = QPushButton("Browse…")
        self.browse.setAccessibleName("Browse for a file")
        self.browse.clicked.connect(self._browse)
        self.with_triggers = QCheckBox("With triggers: for yourself only")
        self.with_triggers.setAccessibleName("With triggers")
        self._problem = Label(tone="alarm")
        self._problem.hide()
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self._wish)
        self.buttons.rejected.connect(self.reject)
        self._lay_out()

    def _new_format(self) -> QComboBox:
        choice = QComboBox()
        choice.setAccessibleName("Format")
        for name, words, _ in FORMATS:
            choice.addItem(words, name)
        choice.currentIndexChanged.connect(lambda _: self._follow())
        return choice

    def _lay_out(self) -> None:
        place = QHBoxLayout()
        place.addWidget(self.file, 1)
        place.addWidget(self.browse)
        form = QFormLayout()
        form.addRow("Format", self.format)
        form.addRow("File", place)
        form.addRow("", self.with_triggers)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.gap(0.6))
        what = f"What this filter shows: {self._filter}" if self._filter else "Everything"
        layout.addWidget(Label(what))
        layout.addLayout(form)
        layout.addWidget(small("Others get no trigger, unless you say so. Nothing is published."))
        layout.addWidget(self._problem)
        layout.addWidget(self.buttons)
        self.resize(round(_WIDTH * theme.em(self)), self.sizeHint().height())

    def show_problem(self, text: str) -> None:
        """Say why there is no file."""
        self._problem.show_text(text)
        self._problem.setVisible(bool(text))

    def show_busy(self, busy: bool) -> None:
        """While it is written, nothing can be asked for a second time."""
        for part in (self.format, self.file, self.browse, self.with_triggers):
            part.setEnabled(not busy)
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        save.setEnabled(not busy)
        save.setText("Writing…" if busy else "Save")

    def _follow(self) -> None:
        """The name ends as the format's files do."""
        path = Path(self.file.text())
        for ending in sorted((one[2] for one in FORMATS), key=len, reverse=True):
            if path.name.endswith(f".{ending}"):
                stem = path.name.removesuffix(f".{ending}")
                chosen = FORMATS[self.format.currentIndex()][2]
                self.file.setText(str(path.with_name(f"{stem}.{chosen}")))
                return

    def _browse(self) -> None:
        dialog = QFileDialog(self, "Export to", self.file.text())
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)  # which asks before it replaces
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._choose)
        dialog.open()

    def _choose(self, file: str) -> None:
        self._replaces = file
        self.file.setText(file)

    def _wish(self) -> None:
        text = self.file.text().strip()
        out = Path(text).expanduser()
        if not text or out.is_dir():
            self.show_problem("Say which file it is written to.")
        elif out.exists() and text != self._replaces:
            self._replaces = text
            self.show_problem("There is such a file already. Save once more to replace it.")
        else:
            self.show_problem("")
            options = ["--format", str(self.format.currentData()), "--out", str(out)]
            if self.with_triggers.isChecked():
                options.append("--with-triggers")
            self.wished.emit(["export", *options, "--", *[self._filter][: bool(self._filter)]], out)


class Exporting(QObject):
    """One dialog and one command at a time; the window goes on meanwhile."""

    said = Signal(str)

    def __init__(self, home: Path, filter: Callable[[], str], window: QWidget) -> None:
        super().__init__(window)
        self._home = home
        self._filter = filter
        self._window = window
        self._process: QProcess | None = None
        self.dialog: ExportDialog | None = None

    def ask(self) -> None:
        """Ask in which format and where the list is to be written."""
        if self.dialog is not None or self._process is not None:
            self.said.emit("An export is being written")
            return
        self.dialog = ExportDialog(self._filter(), self._window)
        self.dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog.wished.connect(self._start)
        self.dialog.finished.connect(lambda _: self._forget())
        self.dialog.open()

    def close(self) -> None:
        """Break off what is being written: a file is complete or not there."""
        process = self._process
        if process is not None:
            self._process = None
            process.kill()
            process.waitForFinished(_CLOSING_MILLISECONDS)

    def _forget(self) -> None:
        self.dialog = None

    def _start(self, arguments: list[str], out: Path) -> None:
        program = scanner()
        if program is None:
            self._refuse_without_program(arguments)
            return
        process = dife(self._home, arguments, program, self)
        self._process = process
        if self.dialog is not None:
            self.dialog.show_busy(True)
        process.finished.connect(lambda code, _: self._ended(process, code, out))
        process.errorOccurred.connect(lambda error: self._not_started(error, arguments))
        process.start()

    def _ended(self, process: QProcess, code: int, out: Path) -> None:
        if self._process is not process:
            return  # the window is closing
        self._process = None
        told = bytes(process.readAllStandardError().data()).decode("utf-8", "replace")
        process.deleteLater()
        if code:
            self._refuse(told or f"`dife export` ended with {code}.")
            return
        withheld = [line for line in told.splitlines() if "left out" in line]
        self.said.emit(" · ".join([f"Written to {out}", *withheld]))
        if self.dialog is not None:
            self.dialog.accept()

    def _not_started(self, error: QProcess.ProcessError, arguments: list[str]) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._process = None
            self._refuse_without_program(arguments)

    def _refuse_without_program(self, arguments: list[str]) -> None:
        command = shlex.join(["dife", "--home", str(self._home), *arguments])
        self._refuse(f"The command could not be started from here. Run: {command}")

    def _refuse(self, why: str) -> None:
        if self.dialog is None:
            self.said.emit(f"Nothing was exported: {plain(why)}")
            return
        self.dialog.show_busy(False)
        self.dialog.show_problem(why)
