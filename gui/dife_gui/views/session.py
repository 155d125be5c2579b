"""What a window shows when it is closed, and how the next one comes back to it."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QByteArray, QTimer
from PySide6.QtWidgets import QWidget

from dife_gui.memory import Session
from dife_gui.views.frame import Frame
from dife_gui.views.pages import Pages


def shown_now(window: QWidget, pages: Pages, frame: Frame) -> Session:
    """What a window shows at this moment."""
    return Session(
        geometry=bytes(window.saveGeometry().toHex().data()).decode("ascii"),
        split=tuple(frame.heights),
        page=pages.shown,
        in_full=frame.is_in_full,
        filter=frame.filter.kept,
        filter_on=frame.filter.on.isChecked(),
        job=frame.models.current_job,
        top=frame.models.top(),
        across=frame.models.horizontalScrollBar().value(),
        down=frame.detail.verticalScrollBar().value(),
    )


def begin(session: Session, window: QWidget, frame: Frame) -> None:
    """What needs nothing read: size and place, which Qt keeps on a screen that is there, heights and filter."""
    window.restoreGeometry(QByteArray.fromHex(session.geometry.encode("ascii", "replace")))
    if session.split:
        frame.splitter.setSizes(session.split)
    frame.filter.restore(session.filter, on=session.filter_on)


def return_to(session: Session, pages: Pages, frame: Frame) -> None:
    """Once list and selected model are on screen: how far both were scrolled, then the page.

    The page comes last, because one that is out of sight has no size to be scrolled in.
    """
    if session.top:
        frame.models.return_to(*session.top)
    frame.models.horizontalScrollBar().setValue(session.across)
    if session.in_full and frame.models.current_job == session.job:
        frame.open_detail()
    # The details get their new height at the next turn of the event loop.
    QTimer.singleShot(0, frame, partial(_finish, session, pages, frame))


def _finish(session: Session, pages: Pages, frame: Frame) -> None:
    if frame.models.current_job == session.job:
        frame.detail.verticalScrollBar().setValue(session.down)
    pages.show_page(session.page)
