"""Say what models are used for: a deployment's name, interfaces, class names or queries, templates, K, own pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QIntValidator
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from dife_gui.describing import lines_of, own_data
from dife_gui.views import theme
from dife_gui.views.card import stack
from dife_gui.views.text import Label, heading, small
from dife_scanner.records import Deployment, DeploymentProfile, OwnData
from dife_scanner.sentences import deployments as words
from dife_scanner.sentences.deployments import FIELDS, MOST_K, field_problems

_SIZE = (62, 42)
"""Of the dialog, in lines of text, where the window that it is over has room."""
_SHARES = (5, 6)
"""Of the width: interfaces, and what is asked of them."""
_BOX_LINES = 4.5
"""Height of a box that takes a text on each line."""
_NEW = "What are models used for here? Nothing can be decided for a use before it is described."
_OWN_PICTURES = "reading the pictures…"


class DescribingDialog(QDialog):
    """Emits `wished`; stays open until that is kept, and says why it is not."""

    wished = Signal(object)
    """A `DeploymentProfile`; its pictures were not read yet."""
    file_chosen = Signal(str, object)
    """A field, and the path of a file whose lines are to stand there."""

    def __init__(self, before: Deployment | None, barred: str, parent: QWidget | None) -> None:
        """`before`: what is edited; `barred`: why nothing can be kept, empty where it can."""
        super().__init__(parent)
        title = f"Edit {before.profile.name}" if before else "Describe a deployment"
        self.setWindowTitle(title)
        self.setAccessibleName(title)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self._before = before
        self._order = before.profile.interfaces if before else ()
        """Of the interfaces: it counts in the digest, and nobody sees it here."""
        self._barred = barred
        self._tried = False
        """Whether somebody wanted to keep it: from then on everything that is wrong is told."""
        self._effect = ""
        """What keeping another version does."""
        self.name = _line("Name", "shop", "Lower-case letters, digits and . _ -")
        self.boxes: dict[str, QCheckBox] = {}
        self.texts = {
            "classes": _texts("Class names", "One a line: boot, sandal, …"),
            "queries": _texts("Queries", "One a line: a red shoe for the mountains"),
            "templates": _texts(
                "Templates", "One a line, {} where the class name goes: a photo of a {}."
            ),
        }
        self.k = _line("K", "1", f"A number from 1 to {MOST_K:,}")
        self.k.setValidator(QIntValidator(0, 10 * MOST_K, self))
        self.pictures = _line("Own pictures", "", "A folder with one folder for each class")
        self.pool = _line("Own pool", "", "Captioned pictures that are searched")
        self.problems = {field: Label(tone="alarm") for field in FIELDS}
        self._about = Label(_NEW if before is None else "", tone="muted")
        self._about.setVisible(before is None)
        self._effects = Label(tone="caution")
        self._problem = Label(tone="alarm")
        for label in (self._effects, self._problem, *self.problems.values()):
            label.hide()
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        self.save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        self.save.setText("Keep")
        self.save.setAccessibleName("Keep the deployment")
        self._lay_out()
        self._fill(before.profile if before else DeploymentProfile("", ()))
        self._connect()
        self._follow()
        self.show_problem(barred)
        (self.name if before is None else next(iter(self.boxes.values()))).setFocus()

    # --- how it stands ----------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        columns = QHBoxLayout()
        columns.setSpacing(theme.gap(0.8))
        columns.addWidget(_scrolled("Interfaces", self._interfaces()), _SHARES[0])
        columns.addWidget(_scrolled("What is asked of them", self._asked()), _SHARES[1])
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.gap(0.6))
        layout.addWidget(self._about)
        layout.addLayout(columns, 1)
        for below in (self._effects, self._problem, self.buttons):
            layout.addWidget(below)
        wanted = theme.size(self, *_SIZE)
        self.resize(wanted.boundedTo(_beneath(self).size()))

    def _interfaces(self) -> QWidget:
        """A box for each, with a sentence of what it is, group by group."""
        parts: list[QWidget] = [heading("Interfaces"), self.problems["interfaces"]]
        for title, cards in words.interfaces():
            parts.append(Label(title, font=theme.sized(1.0, bold=True)))
            for interface, summary in cards:
                box = QCheckBox(interface)
                box.setAccessibleName(interface)
                box.setAccessibleDescription(summary)
                self.boxes[interface] = box
                parts.append(stack([box, small(summary)], spacing=0.1))
        return stack(parts, spacing=0.4, stretch=True)

    def _asked(self) -> QWidget:
        parts: list[QWidget] = [heading("Name"), self.name, self.problems["name"]]
        for field, about in (
            ("classes", "Class names: what pictures are sorted into"),
            ("queries", "Queries: what pictures are searched with"),
            ("templates", "Templates: prompts around a class name; empty for those of the audit"),
        ):
            button = _button("From a file…", f"{self.texts[field].accessibleName()} from a file")
            button.clicked.connect(lambda _=False, field=field: self._choose_file(field))
            parts += [_beside(Label(about), button), self.texts[field], self.problems[field]]
        parts += [Label("K: how many results of a retrieval are looked at"), self.k]
        parts.append(self.problems["k"])
        for field, line, about, folder in (
            (
                "pictures",
                self.pictures,
                "Own pictures: labelled, empty for those of the audit",
                True,
            ),
            ("pool", self.pool, "Own pool: captioned, empty for that of the audit", False),
        ):
            button = _button("Browse…", f"Browse for {line.accessibleName().lower()}")
            button.clicked.connect(lambda _=False, line=line, folder=folder: _browse(line, folder))
            parts += [Label(about), _beside(line, button), self.problems[field]]
        return stack(parts, spacing=0.3, stretch=True)

    def _fill(self, profile: DeploymentProfile) -> None:
        self.name.setText(profile.name)
        self.name.setReadOnly(self._before is not None)
        for interface, box in self.boxes.items():
            box.setChecked(interface in profile.interfaces)
        for field in self.texts:
            self.put(field, getattr(profile, field))
        self.k.setText(str(profile.k))
        self.pictures.setText(_path(profile.pictures))
        self.pool.setText(_path(profile.pool))

    def _connect(self) -> None:
        self.buttons.accepted.connect(self._wish)
        self.buttons.rejected.connect(self.reject)
        for line in (self.name, self.k, self.pictures, self.pool):
            line.textChanged.connect(self._follow)
        for texts in self.texts.values():
            texts.textChanged.connect(self._follow)
        for box in self.boxes.values():
            box.toggled.connect(self._follow)

    # --- what it says -----------------------------------------------------------------------------------------

    @property
    def before(self) -> Deployment | None:
        """The version that is edited; `None` for a new deployment."""
        return self._before

    def profile(self) -> DeploymentProfile:
        """What stands in the boxes."""
        return DeploymentProfile(
            name=self.name.text().strip(),
            interfaces=tuple(
                name
                for name in dict.fromkeys((*self._order, *self.boxes))
                if self._is_checked(name)
            ),
            templates=lines_of(self.texts["templates"].toPlainText()),
            classes=lines_of(self.texts["classes"].toPlainText()),
            queries=lines_of(self.texts["queries"].toPlainText()),
            k=int(self.k.text() or 0),
            pictures=own_data(self.pictures.text().strip()),
            pool=own_data(self.pool.text().strip()),
        )

    def _is_checked(self, interface: str) -> bool:
        box = self.boxes.get(interface)
        return box is not None and box.isChecked()

    def put(self, field: str, texts: tuple[str, ...]) -> None:
        """Let texts stand in a box."""
        self.texts[field].setPlainText("\n".join(texts))

    def show_effect(self, text: str) -> None:
        """Say what keeping another version does to what was decided."""
        self._effect = text
        self._follow()

    def show_problem(self, text: str) -> None:
        """Say why nothing was kept, and let it be tried again."""
        self._problem.show_text(text)
        self._problem.setVisible(bool(text))
        self.save.setEnabled(not self._barred)

    def show_busy(self, *, pictures: bool) -> None:
        """It is on its way; nothing else can be wished for meanwhile."""
        self._problem.show_text("")
        self._problem.hide()
        self.save.setEnabled(False)
        if pictures:
            self._effects.show_text(f"{_OWN_PICTURES.capitalize()} Cancel breaks it off.")
            self._effects.show()

    def go_on_from(self, now: Deployment | None, text: str) -> None:
        """Another version was kept meanwhile, or it was removed: what stands here stays."""
        self._before = now
        self.show_problem(text)
        self._follow()

    def _follow(self) -> None:
        """What is wrong beside each field, once somebody tried to keep it, and what keeping it would do."""
        profile = self.profile()
        wrong = field_problems(profile) if self._tried else {}
        for field, label in self.problems.items():
            label.show_text(wrong.get(field, ""))
            label.setVisible(field in wrong)
        is_changed = self._before is not None and _placeless(self._before.profile) != _placeless(
            profile
        )
        self._effects.show_text(self._effect if is_changed else "")
        self._effects.setVisible(bool(self._effects.text()))

    def _wish(self) -> None:
        self._tried = True
        self._follow()
        profile = self.profile()
        wrong = field_problems(profile)
        if not wrong:
            self.wished.emit(profile)
            return
        first = next(field for field in FIELDS if field in wrong)
        self._widget(first).setFocus()
        self.show_problem(
            "Not kept: " + ", ".join(FIELDS[field] for field in FIELDS if field in wrong)
        )

    def _widget(self, field: str) -> QWidget:
        lines = {"name": self.name, "k": self.k, "pictures": self.pictures, "pool": self.pool}
        if field == "interfaces":
            return next(iter(self.boxes.values()))
        return lines[field] if field in lines else self.texts[field]

    def _choose_file(self, field: str) -> None:
        chosen = QFileDialog(self, f"{FIELDS[field].capitalize()}, one a line")
        chosen.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        chosen.fileSelected.connect(lambda path: self.file_chosen.emit(field, Path(path)))
        chosen.open()


def _beneath(widget: QWidget) -> QWidget:
    """The window under a dialog, and under those that it is over."""
    while (parent := widget.parentWidget()) is not None:
        widget = parent.window()
    return widget


def _placeless(profile: DeploymentProfile) -> DeploymentProfile:
    """With the places of own pictures, and not what they hold, which is not read yet."""
    return replace(
        profile,
        pictures=own_data(_path(profile.pictures)),
        pool=own_data(_path(profile.pool)),
    )


def _path(data: OwnData | None) -> str:
    return data.path if data else ""


def _line(name: str, hint: str, about: str) -> QLineEdit:
    line = QLineEdit()
    line.setAccessibleName(name)
    line.setPlaceholderText(hint)
    line.setToolTip(about)
    return line


def _texts(name: str, hint: str) -> QPlainTextEdit:
    """A box that takes a text on each line."""
    box = QPlainTextEdit()
    box.setAccessibleName(name)
    box.setPlaceholderText(hint)
    box.setTabChangesFocus(True)
    box.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
    box.setFixedHeight(round(_BOX_LINES * theme.em(box)))
    return box


def _button(text: str, name: str) -> QPushButton:
    button = QPushButton(text)
    button.setAccessibleName(name)
    button.setAutoDefault(False)
    return button


def _beside(wide: QWidget, button: QPushButton) -> QWidget:
    """A button at the end of a line of something that takes the rest of it."""
    holder = QWidget()
    layout = QHBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(theme.gap(0.4))
    layout.addWidget(wide, 1)
    layout.addWidget(button)
    return holder


def _scrolled(name: str, widget: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setAccessibleName(name)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(widget)
    return area


def _browse(line: QLineEdit, folder: bool) -> None:
    chosen = QFileDialog(line.window(), line.accessibleName(), line.text())
    chosen.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    if folder:
        chosen.setFileMode(QFileDialog.FileMode.Directory)
    chosen.fileSelected.connect(line.setText)
    chosen.open()
