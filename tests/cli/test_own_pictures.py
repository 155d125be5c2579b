"""What `dife scan --pictures` says of pictures that cannot be audited on, and what those that can would cost."""

from __future__ import annotations

import io
import json

import jsonschema
import pytest
from PIL import Image

from dife_scanner.baselines.home import bases_folder
from dife_scanner.cli.commands import run
from dife_scanner.reports import as_json

BASE = bases_folder() / "rn"


@pytest.fixture
def plan(tmp_path, monkeypatch, capsys):
    """`dife scan --plan` on pictures: exit code, the document, what was said."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")

    def call(pictures, *more):
        asked = ["scan", BASE, "--pictures", pictures, "--budget", "quick", "--plan", *more]
        code = run([*map(str, asked), "--home", str(tmp_path / "home"), "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    return call


@pytest.fixture
def folder(tmp_path):
    """A folder of folders, each with so many pictures, of which one at most is read for a plan."""

    def make(names, each=4, content=None):
        buffer = io.BytesIO()
        Image.new("RGB", (48, 48)).save(buffer, "PNG")
        for name in names:
            (tmp_path / "mine" / name).mkdir(parents=True)
            for number in range(each):
                raw = buffer.getvalue() if content is None else content
                (tmp_path / "mine" / name / f"{number}.png").write_bytes(raw)
        return tmp_path / "mine"

    return make


def test_a_plan_states_what_own_pictures_cost(plan, folder) -> None:
    code, document, _ = plan(folder(("cat", "dog", "ship"), each=8))
    own = document["own_pictures"]
    jsonschema.validate(document, json.loads(as_json.schema_file(as_json.PlanDocument).read_text()))
    assert code == 0 and own["classes"] == 3
    assert own["pictures"] == 24 and own["bytes"] == 24 * 48 * 48 * 3
    assert own["texts"] == 9000, "of a quick scan, until there are too many classes for it"


def test_texts_of_a_plan_grow_with_the_classes(plan, folder) -> None:
    _, document, _ = plan(folder([f"c{number}" for number in range(100)]))
    assert document["own_pictures"]["texts"] == 100 * 3 * 64


def test_more_classes_than_the_setting_are_refused_unread_and_may_be_raised(
    plan, folder, monkeypatch
) -> None:
    many = folder([f"c{number}" for number in range(201)], content=b"no picture")
    code, _, said = plan(many)
    assert code == 3
    assert "201 classes, and at most 200" in said and "limits.picture_classes" in said
    monkeypatch.setenv("DIFE_LIMITS__PICTURE_CLASSES", "201")
    assert "is no picture that can be read" in plan(many)[2], "now they are looked at"


@pytest.mark.parametrize(
    ("names", "each", "words"),
    [
        (("cat",), 4, "two classes"),
        (("Cat", "cat"), 4, "reads as one name"),
        (("hot_dog", "hot dog"), 4, "reads as one name"),
        (("_", "dog"), 4, "without a name"),
        (("cat", "dog"), 1, "has 1 pictures, 4 are needed"),
    ],
    ids=["one class", "capitals", "blanks", "no name", "one picture of each"],
)
def test_a_plan_refuses_what_an_audit_would(plan, folder, names, each, words) -> None:
    code, document, said = plan(folder(names, each))
    assert (code, document) == (3, None)
    assert words in said and "try:" in said


def test_a_data_set_is_not_fetched_for_a_plan(plan) -> None:
    code, document, _ = plan("owner/pictures", "--endpoint", "http://127.0.0.1:9")
    assert code == 0 and document["own_pictures"] is None
    assert any("owner/pictures fits" in line for line in document["assumptions"])
