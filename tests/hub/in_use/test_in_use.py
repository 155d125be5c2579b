"""Models in use, read from what strangers wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dife_scanner.errors import UsageError
from dife_scanner.hub.in_use import Found, read
from dife_scanner.hub.in_use.found import UnreadableError
from dife_scanner.hub.in_use.lists import bom, plain_list
from dife_scanner.hub.in_use.python import python
from dife_scanner.hub.in_use.structured import configuration, notebook

SHA = "5" * 40


def named(found: Found) -> list[tuple[str, str, str]]:
    return [(one.repo_id, one.revision, one.place) for one in found.entries]


def test_a_plain_list_has_one_model_a_line_and_comments() -> None:
    text = (
        f"# ours\norg/clip\norg/clip@{SHA}  # pinned\n\nnot a model\n../../etc/passwd\norg/clip\n"
    )
    found = plain_list(text, "models.txt")
    assert named(found) == [
        ("org/clip", "", "models.txt:2 and 1 more"),
        ("org/clip", SHA, "models.txt:3"),
    ]
    assert found.skipped == {"line that names no model": 2}


@pytest.mark.parametrize("version", ["1.4", "1.5", "1.6", "1.7"])
def test_a_bill_of_materials_names_models_by_purl_or_by_group_and_name(version: str) -> None:
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "metadata": {"component": {"type": "application", "name": "shop"}},
        "components": [
            {"type": "library", "name": "numpy", "purl": "pkg:pypi/numpy@2.0"},
            {
                "type": "machine-learning-model",
                "name": "any name",
                "purl": f"pkg:huggingface/org/clip%2Dbig@{SHA}?download_url=x#sub",
                "components": [{"purl": "pkg:huggingface/org/inner"}],
            },
            {
                "type": "machine-learning-model",
                "group": "org",
                "name": "plain",
                "version": "2.0 of May",
            },
            {"type": "machine-learning-model", "name": "ours"},
            {"purl": "pkg:huggingface/org/other?repository_url=https%3A%2F%2Fhub.example"},
            {"purl": "pkg:huggingface/org/same?repository_url=https%3A%2F%2Fhuggingface.co"},
        ],
    }
    found = bom(json.dumps(document), "bom.json")
    assert [(one.repo_id, one.revision) for one in found.entries] == [
        ("org/clip-big", SHA),
        ("org/plain", ""),
        ("org/same", ""),
        ("org/inner", ""),
    ]
    assert found.skipped == {"model without a name on the hub": 1}


def test_python_code_is_read_and_not_run(tmp_path: Path) -> None:
    code = f"""
import open_clip
from transformers import CLIPModel
NAME = "org/followed"
TWICE = "org/first"
TWICE = "org/second"
open("{tmp_path}/ran", "w")
model = CLIPModel.from_pretrained("org/clip", revision="v1.0")
again = CLIPModel.from_pretrained(NAME)
neither = CLIPModel.from_pretrained(TWICE)
a, b, c = open_clip.create_model_and_transforms("hf-hub:org/open")
d, e, f = open_clip.create_model_and_transforms("ViT-B-32", pretrained="laion2b")
timm.create_model("hf_hub:org/tower@{SHA}")
snapshot_download(repo_id="org/whole")
hf_hub_download("org/data", "x", repo_type="dataset")
st = SentenceTransformer("clip-ViT-B-32")
peft = PeftModel.from_pretrained(model, "org/adapter")
pipe = pipeline("zero-shot-image-classification", model="org/piped")
local = CLIPModel.from_pretrained("./model")
plain = CLIPModel.from_pretrained("bert-base-uncased")
"""
    assert named(python(code, "train.py")) == [
        ("org/clip", "v1.0", "train.py:8"),
        ("org/followed", "", "train.py:9"),
        ("org/open", "", "train.py:11"),
        ("org/tower", SHA, "train.py:13"),
        ("org/whole", "", "train.py:14"),
        ("sentence-transformers/clip-ViT-B-32", "", "train.py:16"),
        ("org/adapter", "", "train.py:17"),
        ("org/piped", "", "train.py:18"),
    ]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "code",
    [
        "(" * 5000 + ")" * 5000,
        "x = " + "-" * 100_000 + "1",
        "x = 1" + " + 1" * 100_000,
        "a" + ".b" * 100_000,
        "not python at all",
        "x = '\0'",
        "if 1:\n" + "".join(" " * i + "if 1:\n" for i in range(1, 150)),
        "\n".join(["x = (1 +"] + ["1 + \\"] * 20_000 + ["1)"]),
        "\n".join(["x = (a"] + [".b"] * 20_000 + [")"]),
        "\n".join(["x = ("] + ["not"] * 20_000 + ["1)"]),
    ],
)
def test_code_that_would_overflow_a_parser_is_left_out(code: str) -> None:
    with pytest.raises(UnreadableError):
        python(code, "x.py")


def test_notebooks_and_configurations() -> None:
    cells = [
        {"cell_type": "markdown", "source": 'from_pretrained("org/no")'},
        {
            "cell_type": "code",
            "source": ["%pip install x\n", 'm = CLIPModel.from_pretrained("org/clip")'],
        },
        {"cell_type": "code", "source": "((("},
    ]
    found = notebook(json.dumps({"cells": cells}), "n.ipynb")
    assert named(found) == [("org/clip", "", "n.ipynb:cell 2:2")]
    assert found.skipped == {"cell: not Python of this version": 1}
    text = 'base_model: org/one\n"model_id": "org/two@v2",\nunrelated: org/three\n' + "x" * 5000
    found = configuration(text, "c.yaml")
    assert named(found) == [("org/one", "", "c.yaml:1"), ("org/two", "v2", "c.yaml:2")]
    assert found.skipped == {"very long line": 1}


def test_a_source_tree_is_walked_within_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "train.py").write_text('CLIPModel.from_pretrained("org/clip")')
    (tmp_path / "app" / "models" / "clip").mkdir(parents=True)
    (tmp_path / "app" / "local.py").write_text('CLIPModel.from_pretrained("models/clip")')
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "x.py").write_text('CLIPModel.from_pretrained("org/theirs")')
    (tmp_path / "latin.py").write_bytes(b"# caf\xe9")
    (tmp_path / "big.py").write_bytes(b"#" * 5000)
    (tmp_path / "linked.py").symlink_to(tmp_path / "app" / "train.py")
    os.mkfifo(tmp_path / "pipe.py")
    monkeypatch.setattr("dife_scanner.hub.in_use.folders.SOURCE_BYTES", 4000)
    found = read([tmp_path])
    assert named(found) == [("org/clip", "", "app/train.py:1")]
    assert found.skipped == {
        "file: not text in UTF-8": 1,
        "file: too large": 1,
        "file: it cannot be opened": 1,
        "file: not a regular file": 1,
    }
    monkeypatch.setattr("dife_scanner.hub.in_use.folders.MAX_FILES", 2)
    assert read([tmp_path]).skipped["more files than are looked at"] == 1


def test_a_cache_of_the_hub_names_each_revision(tmp_path: Path) -> None:
    model = tmp_path / "hub" / "models--org--clip"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(SHA)
    (model / "snapshots" / SHA).mkdir(parents=True)
    (tmp_path / "hub" / "datasets--org--no").mkdir()
    (tmp_path / "hub" / "models--bad--..--x").mkdir()
    assert [(one.repo_id, one.revision) for one in read([tmp_path]).entries] == [
        ("org/clip", ""),
        ("org/clip", SHA),
    ]


def test_a_path_that_is_no_list_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "picture.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "bom.json").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.1"}')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for name in ("missing", "picture.txt", "bom.json", "deep.json"):
        with pytest.raises(UsageError, match="cannot be read as a list of models"):
            read([tmp_path / name])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["components", "type", "purl", "cells", "source"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(st.text(max_size=200), _JSON)
def test_no_text_and_no_json_raises_anything_else(text: str, value: object) -> None:
    document = json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": value})
    for reader, content in (
        (plain_list, text),
        (python, text),
        (configuration, text),
        (bom, document),
        (notebook, json.dumps({"cells": value})),
    ):
        try:
            for one in reader(content, "x").entries:
                assert "/" in one.repo_id and ".." not in one.repo_id and one.place.isprintable()
        except UnreadableError:
            continue
