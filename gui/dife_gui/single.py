"""One window for a home: a second one that is started hands its link to the first, and ends."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from dife_gui.links import MOST_CHARACTERS

_WAIT_MILLISECONDS = 2000
"""For a window that is there and does not answer; then another one is opened."""
_ANSWER = b"shown\n"


def hand_over(home: Path, link: str) -> bool:
    """Let the window that is open on this home show a link, or itself where there is none; `False` without a window."""
    socket = QLocalSocket()
    socket.connectToServer(_name(home))
    if not socket.waitForConnected(_WAIT_MILLISECONDS):
        return False
    socket.write(f"{link}\n".encode())
    socket.flush()
    while not socket.canReadLine() and socket.waitForReadyRead(_WAIT_MILLISECONDS):
        pass
    heard = bytes(socket.readLine().data())
    socket.abort()
    return heard == _ANSWER


class Single(QObject):
    """Listens for other windows of the same person on the same home, where none listens already."""

    asked = Signal(str)
    """One line of text from whoever connected, not checked; empty where only the window is wanted."""

    def __init__(self, home: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._greet)
        name = _name(home)
        if not self._server.listen(name) and not _is_answered(name):
            QLocalServer.removeServer(name)  # of a window that was killed
            self._server.listen(name)

    def close(self) -> None:
        """Listen no longer."""
        self._server.close()

    def _greet(self) -> None:
        while self._server.hasPendingConnections():
            socket = self._server.nextPendingConnection()
            socket.setReadBufferSize(MOST_CHARACTERS + 1)
            socket.disconnected.connect(socket.deleteLater)
            socket.readyRead.connect(lambda socket=socket: self._hear(socket))

    def _hear(self, socket: QLocalSocket) -> None:
        if not socket.canReadLine():
            if socket.bytesAvailable() > MOST_CHARACTERS:
                socket.abort()
            return
        line = bytes(socket.readLine().data()).decode("utf-8", "replace").strip()
        socket.write(_ANSWER)
        socket.flush()
        self.asked.emit(line)


def _is_answered(name: str) -> bool:
    """Whether a window listens under this name."""
    socket = QLocalSocket()
    socket.connectToServer(name)
    answered = socket.waitForConnected(_WAIT_MILLISECONDS)
    socket.abort()
    return answered


def _name(home: Path) -> str:
    """The same for every path to a home, and another for every person."""
    who = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    digest = hashlib.sha256(f"{who} {home.resolve()}".encode()).hexdigest()
    return f"dife-{digest[:24]}"
