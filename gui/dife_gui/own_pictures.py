"""Has somebody's own pictures read by the scanner, in a process of its own: the window itself reads none."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QProcess, Signal

from dife_gui.describing import reading_arguments, with_pictures_read
from dife_gui.escape import explained
from dife_gui.watching import dife, scanner
from dife_scanner.errors import DifeError
from dife_scanner.records import DeploymentProfile
from dife_scanner.sentences import plain

_CLOSING_MILLISECONDS = 2000
_TOLD = 600
"""Characters of what the scanner says that are shown."""


class OwnPictures(QObject):
    """One reading at a time; ends with `read` or `failed`."""

    read = Signal(object)
    """A `DeploymentProfile` with the digests of its pictures."""
    failed = Signal(str)

    def __init__(self, home: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._home = home
        self._process: QProcess | None = None

    def start(self, profile: DeploymentProfile) -> None:
        """Read the pictures of a profile."""
        program = scanner()
        if program is None:
            self.failed.emit(
                "No scanner is installed here, which reads pictures: pipx install dife-scanner"
            )
            return
        process = dife(self._home, reading_arguments(profile), program, self)
        self._process = process
        process.finished.connect(lambda code, _: self._ended(process, profile, code))
        process.errorOccurred.connect(lambda _: self._not_started(process))
        process.start()

    def close(self) -> None:
        """Break off what is being read."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.waitForFinished(_CLOSING_MILLISECONDS)
            process.deleteLater()

    def _not_started(self, process: QProcess) -> None:
        if self._process is process and process.error() is QProcess.ProcessError.FailedToStart:
            self._process = None
            process.deleteLater()
            self.failed.emit("The scanner, which reads pictures, could not be started")

    def _ended(self, process: QProcess, profile: DeploymentProfile, code: int) -> None:
        if self._process is not process:
            return  # broken off
        self._process = None
        told = bytes(process.readAllStandardError().data()).decode("utf-8", "replace")
        found = bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace")
        process.deleteLater()
        if code:
            self.failed.emit(plain(told, _TOLD) or "The scanner ended while it read the pictures")
            return
        try:
            self.read.emit(with_pictures_read(profile, found))
        except DifeError as error:
            self.failed.emit(explained(error))
