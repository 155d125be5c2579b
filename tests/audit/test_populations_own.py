"""Somebody's own data, in the formats its authors and the Hub distribute: small files, true formats."""

import io
import json
import pickle
import tarfile
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet as pq

from dife_scanner.audit import plan, populations
from dife_scanner.audit.populations import card, cifar, content, dataset, errors, pictures
from dife_scanner.audit.populations import words as vocabulary
from dife_scanner.audit.populations.captioned import Captioned
from dife_scanner.audit.populations.labelled import Labelled
from dife_scanner.baselines.home import bases_folder
from dife_scanner.core import frozen_repr
from dife_scanner.errors import LimitExceeded, RepoNotFound
from dife_scanner.hub import Hub
from dife_scanner.lab.loopback import LoopbackHub, hostile
from dife_scanner.records import Budget, PoolItem

CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RNG = np.random.default_rng(7)


def picture(level, size=(40, 30), kind="PNG"):
    """A picture whose grey level tells which it is."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (level % 256, level // 256 * 60, 7)).save(buffer, kind)
    return buffer.getvalue()


def level_of(pixels):
    red, green, _ = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].astype(int)
    return red + 256 * round(green / 60)


# --- a folder of labelled folders ------------------------------------------------------------------------------


@pytest.fixture
def class_folders(tmp_path):
    for number, name in enumerate(("sea_ship", "plane", "cat")):
        (tmp_path / "mine" / name / "deeper").mkdir(parents=True)
        for i in range(12):
            place = tmp_path / "mine" / name / ("deeper" if i % 2 else "")
            (place / f"{i}.{'jpg' if i % 3 else 'png'}").write_bytes(
                picture(10 * number + i, kind="JPEG" if i % 3 else "PNG")
            )
        (tmp_path / "mine" / name / "notes.txt").write_text("no picture")
    return tmp_path / "mine"


def test_labelled_folders(class_folders):
    data = populations.read(class_folders, "labelled")
    assert data.class_names == ("cat", "plane", "sea ship") and Counter(data.labels.tolist()) == {
        0: 12,
        1: 12,
        2: 12,
    }
    made = data.probes("quick", 0)
    drawings = {name: set(split.drawings) for name, split in made.splits.items()}
    assert not drawings["train"] & drawings["test"] and not drawings["diagnosis"] & drawings["test"]
    test = made.split("test")
    assert test.images.shape == (18, 30, 30, 3) and Counter(test.labels.tolist()) == {
        0: 6,
        1: 6,
        2: 6,
    }
    for image, label, name in zip(test.images, test.labels, test.drawings, strict=True):
        assert name.startswith(made.class_names[label].replace(" ", "_"))
        number = {"sea ship": 0, "plane": 1, "cat": 2}[made.class_names[label]]
        assert abs(level_of(image) - (10 * number + int(name.split("/")[-1].split(".")[0]))) <= 2


def test_splits_depend_on_the_seed_and_on_nothing_else(class_folders):
    made = [populations.read(class_folders, "labelled").probes("quick", seed) for seed in (0, 0, 1)]
    assert made[0].digest == made[1].digest != made[2].digest
    assert made[0].split("test").drawings == made[1].split("test").drawings
    items = made[0].split("test").items
    assert [item.id for item in items] == list(made[0].split("test").drawings)
    (class_folders / items[0].id).write_bytes(picture(250))
    changed = populations.read(class_folders, "labelled").probes("quick", 0)
    assert (
        changed.digest != made[0].digest
        and changed.split("test").items[0].sha256 != items[0].sha256
    )


def test_a_train_and_a_test_folder_keep_apart(class_folders):
    (class_folders.parent / "both").mkdir()
    class_folders.rename(class_folders.parent / "both" / "train")
    for name in ("sea_ship", "plane", "cat"):
        (class_folders.parent / "both" / "val" / name).mkdir(parents=True)
        for i in range(3):
            (class_folders.parent / "both" / "val" / name / f"{i}.png").write_bytes(
                picture(200 + i)
            )
    made = populations.read(class_folders.parent / "both", "labelled").probes("quick", 0)
    assert all(name.startswith("val/") for name in made.split("test").drawings)
    assert all(
        name.startswith("train/")
        for part in ("train", "diagnosis")
        for name in made.split(part).drawings
    )


def test_a_label_without_pictures_is_named(class_folders):
    (class_folders / "empty").mkdir()
    with pytest.raises(errors.LabelWithoutImages, match="empty"):
        populations.read(class_folders, "labelled")


def test_a_class_too_small_to_split_is_named(class_folders):
    (class_folders / "frog").mkdir()
    (class_folders / "frog" / "1.png").write_bytes(picture(1))
    with pytest.raises(errors.LabelWithoutImages, match=r"'frog' has 1 pictures") as caught:
        populations.read(class_folders, "labelled").probes("quick", 0)
    assert caught.value.pool == "mine" and caught.value.card


def test_labels_make_a_class_derived_pool(tmp_path):
    for name, count in (("airplane", 30), ("car", 60), ("cat", 150)):
        (tmp_path / name).mkdir()
        for i in range(count):
            (tmp_path / name / f"{i}.png").write_bytes(picture(i, (8, 8)))
    made = (
        populations.read(tmp_path, "labelled")
        .captioned()
        .pool("captions", "automobile", "airplane", "quick", 0)
    )
    assert made.targets.sum() == 20 and len(made.images) == 200
    assert {query.class_name for query in made.queries} == {"automobile"}
    assert {query.word for query in made.queries} <= {"car", "automobile", "vehicle"}


# --- hostile and broken pictures -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", errors.UnreadablePicture),
        (b"GIF89a" + bytes(40), errors.UnreadablePicture),
        (picture(3)[:60], errors.UnreadablePicture),
        (picture(3, kind="JPEG")[:-200], errors.UnreadablePicture),
        (
            b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x01\x00\x00\x00\x01\x00\x00\x08\x02\x00\x00\x00",
            errors.DataError,
        ),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", errors.UnreadablePicture),
    ],
)
def test_what_is_no_picture_is_refused_by_name(raw, error):
    with pytest.raises((error, LimitExceeded), match="row 4"):
        pictures.decode(raw, "row 4")


def test_a_picture_with_too_many_pixels_is_not_decoded(monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)
    with pytest.raises(LimitExceeded, match="40 × 30"):
        pictures.decode(picture(3), "a picture")
    with pytest.raises(LimitExceeded, match="bytes"):
        monkeypatch.setattr(pictures, "MAX_BYTES", 10)
        pictures.decode(picture(3), "a picture")


def test_an_unreadable_picture_in_a_folder_is_named(class_folders):
    for file in class_folders.glob("cat/*.png"):
        file.write_bytes(b"not a picture")
    with pytest.raises(errors.UnreadablePicture, match=r"cat.*\.png"):
        populations.read(class_folders, "labelled").probes("quick", 0)


def test_large_pictures_come_down_to_what_a_model_looks_at():
    assert pictures.decode(picture(3, (900, 600), "JPEG"), "x").shape == (224, 224, 3)
    mixed = pictures.stack(
        [pictures.decode(picture(1, (50, 40)), "x"), pictures.decode(picture(2, (300, 300)), "y")]
    )
    assert mixed.shape == (2, 224, 224, 3) and level_of(mixed[0]) == 1


# --- CIFAR-10 --------------------------------------------------------------------------------------------------


def cifar_batches():
    """True-format batches: 100 rows in each of two train batches, 50 in the test batch."""
    batches, pixels = {}, {}
    for name, count in (
        ("data_batch_1.bin", 100),
        ("data_batch_2.bin", 100),
        ("test_batch.bin", 50),
    ):
        planes = RNG.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        labels = np.arange(count) % 10
        rows = np.concatenate([labels[:, None].astype(np.uint8), planes.reshape(count, -1)], 1)
        batches[name], pixels[name] = rows.tobytes(), planes.transpose(0, 2, 3, 1)
    return batches | {"batches.meta.txt": ("\n".join(CIFAR) + "\n\n").encode()}, pixels


@pytest.mark.parametrize("packed", [False, True])
def test_cifar_binary_batches(tmp_path, packed):
    files, pixels = cifar_batches()
    if packed:
        path = tmp_path / "cifar-10-binary.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, raw in {**files, "readme.html": b"<html>"}.items():
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = len(raw)
                archive.addfile(member, io.BytesIO(raw))
    else:
        path = tmp_path / "cifar"
        (path / "cifar-10-batches-bin").mkdir(parents=True)
        for name, raw in files.items():
            (path / "cifar-10-batches-bin" / name).write_bytes(raw)
    data = populations.read(path, "labelled")
    assert data.class_names == CIFAR and len(data.ids) == 250
    test = data.probes("default", 0).split("test")
    assert len(test.drawings) == 50 and test.images.shape == (50, 32, 32, 3)
    for image, label, name in zip(test.images, test.labels, test.drawings, strict=True):
        file, row = name.split("#")
        assert (
            file == "test_batch.bin"
            and np.array_equal(image, pixels[file][int(row)])
            and label == int(row) % 10
        )


def test_pickled_cifar_is_refused_unread(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("batches.meta", "data_batch_1", "test_batch"):
        (folder / name).write_bytes(pickle.dumps(Bomb()))
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "cifar-10-batches-py")
    for path in (folder, archive):
        with pytest.raises(errors.UnsafeFormat, match="pickled") as caught:
            populations.read(path, "labelled")
        assert "binary" in caught.value.advice and "parquet" in caught.value.advice
    assert not (tmp_path / "exploded").exists()


def test_cifar_files_that_are_cut_or_lie(tmp_path, monkeypatch):
    files, _ = cifar_batches()
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    (tmp_path / "data_batch_2.bin").write_bytes(files["data_batch_2.bin"][:-5])
    with pytest.raises(errors.DataError, match=r"data_batch_2\.bin.*multiple"):
        populations.read(tmp_path, "labelled")
    (tmp_path / "data_batch_2.bin").write_bytes(b"\x0b" + files["data_batch_2.bin"][1:])
    with pytest.raises(errors.DataError, match="label 11"):
        populations.read(tmp_path, "labelled")
    monkeypatch.setattr(cifar, "MAX_BYTES", 1000)
    with pytest.raises(LimitExceeded, match="limit is 1000"):
        populations.read(tmp_path, "labelled")


def test_an_archive_is_read_in_memory_and_bounded(tmp_path, monkeypatch):
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for number in range(120):
            archive.addfile(tarfile.TarInfo(f"../../../evil{number}"), io.BytesIO(b""))
    with pytest.raises(LimitExceeded, match="members"):
        populations.read(path, "labelled")
    files, _ = cifar_batches()
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    monkeypatch.setattr(cifar, "MAX_TOTAL", 400_000)
    with pytest.raises(LimitExceeded, match="together"):
        populations.read(path, "labelled")
    path.write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(errors.DataError, match="no tar archive"):
        populations.read(path, "labelled")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


# --- parquet as on the Hub -------------------------------------------------------------------------------------

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def hub_file(path, columns, features, group=16):
    table = pa.table(columns).replace_schema_metadata(
        {b"huggingface": json.dumps({"info": {"features": features}})}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)


def cifar_parquet(folder, names=CIFAR):
    features = {"img": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    for split, count, start in (("train", 200, 0), ("test", 60, 300)):
        cells = [{"bytes": picture(start + i, (32, 32)), "path": None} for i in range(count)]
        columns = {
            "img": pa.array(cells, IMAGE),
            "label": pa.array([i % 10 for i in range(count)], pa.int64()),
        }
        hub_file(folder / "plain_text" / f"{split}-00000-of-00001.parquet", columns, features)


@pytest.mark.parametrize("names", [list(CIFAR), {str(i): name for i, name in enumerate(CIFAR)}])
def test_cifar_parquet(tmp_path, names):
    cifar_parquet(tmp_path, names)
    made = populations.read(tmp_path, "labelled").probes("default", 0)
    test = made.split("test")
    assert made.class_names == CIFAR and test.images.shape == (60, 32, 32, 3)
    for image, label, name in zip(test.images, test.labels, test.drawings, strict=True):
        file, row = name.split("#")
        assert (
            file.startswith("test") and level_of(image) == 300 + int(row) and label == int(row) % 10
        )


def test_parquet_that_names_no_classes_or_only_paths(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture(9))
    cells = pa.array([{"bytes": None, "path": str(secret)} for _ in range(20)], IMAGE)
    labels = pa.array([i % 2 for i in range(20)], pa.int64())
    hub_file(tmp_path / "a" / "x.parquet", {"image": cells, "label": labels}, {})
    with pytest.raises(errors.DataError, match="names no classes"):
        populations.read(tmp_path / "a", "labelled")
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    hub_file(tmp_path / "b" / "x.parquet", {"image": cells, "label": labels}, features)
    with pytest.raises(errors.UnreadablePicture, match="no picture bytes"):
        populations.read(tmp_path / "b", "labelled").probes("quick", 0)
    hub_file(tmp_path / "c" / "x.parquet", {"image": cells, "score": labels}, features)
    with pytest.raises(errors.DataError, match="found image, score"):
        populations.read(tmp_path / "c", "labelled")
    hub_file(
        tmp_path / "d" / "x.parquet",
        {"image": cells, "label": pa.array([-1] * 20, pa.int64())},
        features,
    )
    with pytest.raises(errors.DataError, match="none of its 2 classes"):
        populations.read(tmp_path / "d", "labelled")
    (tmp_path / "e.parquet").write_bytes(b"PAR1 and then nothing PAR1")
    with pytest.raises(errors.DataError, match="cannot be read as parquet"):
        populations.read(tmp_path / "e.parquet", "labelled")


# --- captions --------------------------------------------------------------------------------------------------

SENTENCES = (
    [(f"A plane number {i} over the sea", f"{i} jets in the sky") for i in range(30)]
    + [
        (f"A red car with plate {i}", f"view {i} of a street with vehicles", f"shop {i}")
        for i in range(40)
    ]
    + [(f"Two cats on sofa {i}", f"scar number {i} on a planet") for i in range(150)]
    + [("a car under an airplane", "an airport")] * 5
)


def coco_folder(root, sentences=SENTENCES, absent=()):
    """annotations/captions_val2017.json and val2017/, as the COCO authors lay them out."""
    (root / "annotations").mkdir(parents=True)
    (root / "val2017").mkdir()
    images, annotations = [], []
    for number, told in enumerate(sentences):
        name = f"{number:012d}.jpg"
        images.append(
            {
                "id": number,
                "file_name": name,
                "width": 40,
                "height": 30,
                "license": 4,
                "coco_url": "http://x",
            }
        )
        annotations += [
            {"id": len(annotations) + i, "image_id": number, "caption": c}
            for i, c in enumerate(told)
        ]
        if number not in absent:
            (root / "val2017" / name).write_bytes(picture(number, kind="JPEG"))
    document = {
        "info": {"year": 2017},
        "licenses": [{"id": 4, "name": "Attribution License", "url": "http://l"}],
        "images": images,
        "annotations": annotations,
    }
    (root / "annotations" / "captions_val2017.json").write_text(json.dumps(document))
    return root


def check_pool(data, budget="quick"):
    for kind in populations.KINDS:
        made = data.pool(kind, "automobile", "airplane", budget, 0, class_names=CIFAR)
        told = dict(zip(data.ids, data.captions, strict=True))
        shows = np.array(
            [
                any("plane" in c or "jet" in c for c in told[unit] if "planet" not in c)
                for unit in made.units
            ]
        )
        assert np.array_equal(
            made.targets, shows[None] if made.lists is None else shows[made.lists]
        )
        assert not [unit for unit in made.units if "a car under an airplane" in told[unit]]
        for query in made.queries:
            assert query.text in told[query.unit] and query.word in ("car", "vehicles")
        assert len({query.text for query in made.queries}) == len(made.queries)
        assert all(label == CIFAR.index("airplane") for label in made.labels[shows])
    return made


def test_coco_captions(tmp_path):
    data = populations.read(coco_folder(tmp_path / "coco"), "captions")
    made = check_pool(data)
    assert (
        made.images.shape == (200, 30, 30, 3)
        and made.manifest.items[0].licence == "Attribution License"
    )
    for unit, image in zip(made.units, made.images, strict=True):
        assert abs(level_of(image) - int(unit[:12])) <= 4
    again = populations.read(
        tmp_path / "coco" / "annotations" / "captions_val2017.json", "captions"
    )
    assert (
        populations.rebuild(made.manifest, data=again, class_names=CIFAR).manifest.digest
        == made.manifest.digest
    )
    with pytest.raises(errors.ManifestMismatch, match="not drawn from bundled"):
        populations.rebuild(made.manifest)


def test_a_changed_picture_is_named_when_a_pool_is_drawn_again(tmp_path):
    made = populations.read(coco_folder(tmp_path), "captions").pool(
        "captions", "car", "plane", "quick", 0
    )
    name = made.units[5]
    (tmp_path / "val2017" / name).write_bytes(picture(999, kind="JPEG"))
    with pytest.raises(errors.ManifestMismatch, match=name):
        populations.rebuild(made.manifest, data=populations.read(tmp_path, "captions"))


def test_absent_pictures_are_named(tmp_path):
    coco_folder(tmp_path, absent=(3, 17))
    with pytest.raises(errors.PictureMissing, match=r"2 pictures .* first is 000000000003\.jpg"):
        populations.read(tmp_path, "captions")


def test_a_caption_file_cannot_lead_out_of_its_folder(tmp_path):
    file = coco_folder(tmp_path) / "annotations" / "captions_val2017.json"
    file.write_text(file.read_text().replace("000000000003.jpg", "../../etc/passwd", 1))
    with pytest.raises(errors.DataError, match="etc/passwd"):
        populations.read(tmp_path, "captions")
    file.write_text('{"images": [], "annotations": [], "images": [1]}')
    with pytest.raises(errors.DataError, match="occurs twice"):
        populations.read(tmp_path, "captions")


def test_pools_that_captions_cannot_fill(tmp_path):
    data = populations.read(coco_folder(tmp_path), "captions")
    with pytest.raises(errors.TargetNotInPool, match="'frog'") as caught:
        data.pool("captions", "car", "frog", "quick", 0)
    assert "image-text retrieval" in caught.value.card and "captions_val2017" in caught.value.pool
    with pytest.raises(errors.SourceNotInPool, match="'ship'"):
        data.pool("captions", "ship", "airplane", "quick", 0)
    with pytest.raises(
        errors.PoolTooSmall, match="5000 pictures, 250 of them of 'airplane'"
    ) as caught:
        data.pool("caption lists", "car", "airplane", "deep", 0)
    assert "smaller budget" in caught.value.advice and "caption reranking" in caught.value.card


@pytest.mark.parametrize("form", ["captions", "caption", "sentences_raw", "sentences"])
def test_caption_parquet(tmp_path, form):
    cells = [{"bytes": picture(i, kind="JPEG"), "path": f"{i}.jpg"} for i in range(len(SENTENCES))]
    told = {
        "caption": lambda s: s[0],
        "captions": list,
        "sentences_raw": list,
        "sentences": lambda s: [{"raw": c, "tokens": c.split(), "sentid": 1} for c in s],
    }[form]
    columns = {"image": pa.array(cells, IMAGE), form: pa.array([told(s) for s in SENTENCES])}
    hub_file(
        tmp_path / "data" / "validation-00000-of-00001.parquet",
        columns,
        {"image": {"_type": "Image"}},
    )
    data = populations.read(tmp_path, "captions")
    if form != "caption":
        check_pool(data)
    else:
        made = data.pool("captions", "automobile", "airplane", "quick", 0)
        assert all(vocabulary.word_in(query.text, ["car"]) for query in made.queries)


def test_what_is_nothing_known(tmp_path):
    with pytest.raises(errors.DataError, match="nothing at"):
        populations.read(tmp_path / "none", "labelled")
    (tmp_path / "data.pkl").write_bytes(pickle.dumps([1]))
    for kind in ("labelled", "captions"):
        with pytest.raises(errors.UnsafeFormat):
            populations.read(tmp_path / "data.pkl", kind)
    with pytest.raises(errors.DataError, match="two classes"):
        populations.read(tmp_path, "labelled")
    with pytest.raises(errors.DataError, match="none of the formats"):
        populations.read(tmp_path, "captions")


# --- what the data is, and under which licence -----------------------------------------------------------------

CARD = "---\npretty_name: Tiny\nlicense:\n- cc-by-4.0\n- mit\ntags:\n- images\n---\n# Data\nlicense: not this line\n"


def caption_parquet(file, **columns):
    cells = [{"bytes": picture(i, kind="JPEG"), "path": f"{i}.jpg"} for i in range(len(SENTENCES))]
    told = pa.array([list(s) for s in SENTENCES])
    hub_file(
        file,
        {"image": pa.array(cells, IMAGE), "captions": told} | columns,
        {"image": {"_type": "Image"}},
    )
    return file


def as_asked(monkeypatch, **data):
    """The identity of an audit of this data, as another process would see it; no picture is decoded for it."""
    monkeypatch.setattr(plan, "_own_captions", lambda path: populations.read(path, "captions"))
    monkeypatch.setattr(plan, "_own_pictures", lambda path: populations.read(path, "labelled"))
    monkeypatch.setattr(pictures, "decode", None)
    monkeypatch.setattr(plan.Plan, "probes", lambda self: SimpleNamespace(digest="the same"))
    return plan.identity("weights", "", None, plan.Plan((), "quick", **data))


def test_a_picture_replaced_under_its_old_name_is_another_audit(
    tmp_path, monkeypatch, class_folders
):
    coco_folder(tmp_path / "coco")
    asked = [{"captions": tmp_path / "coco"}, {"pictures": class_folders}]
    before = [as_asked(monkeypatch, **data) for data in asked]
    assert before == [as_asked(monkeypatch, **data) for data in asked]
    (tmp_path / "coco" / "val2017" / f"{3:012d}.jpg").write_bytes(picture(77, kind="JPEG"))
    (class_folders / "cat" / "0.png").write_bytes(picture(77))
    after = [as_asked(monkeypatch, **data) for data in asked]
    assert not set(before) & set(after)


def test_digests_of_own_data_are_what_they_always_were(tmp_path):
    """Made by commit 96ad1e6, whose digests hashed `repr` of what was read: stored identities hold them."""
    (tmp_path / "x").write_bytes(b"x")
    told = (("it's",), ("x", "y\udc80"))
    captioned = Captioned("mine", ("a", "b"), told, None, ("MIT", ""), (tmp_path / "x",))
    assert captioned.digest == "d8e8682fd58a165b239e331a41010c9b8e6e39d4d3162518b48ecbc8e5375158"
    labels = np.array([0, 1])
    labelled = Labelled(
        "mine", ("cat", "dog"), labels, ("a", "b"), None, None, "CC0", (tmp_path / "x",)
    )
    assert labelled.digest == "eebd96c70e0d07cf64d08b4f01c4f97d4bd9e212278c56f3bc2f8fd9f12a456a"
    with pytest.raises(frozen_repr.Newer):
        content.digest((PoolItem("a", "b"),), ())


def test_rows_replaced_in_a_parquet_file_or_an_archive_are_other_data(tmp_path):
    file = caption_parquet(tmp_path / "x.parquet")
    before = populations.read(file, "captions").digest
    assert populations.read(file, "captions").digest == before
    cells = [
        {"bytes": picture(i + (i == 9), kind="JPEG"), "path": f"{i}.jpg"}
        for i in range(len(SENTENCES))
    ]
    caption_parquet(file, image=pa.array(cells, IMAGE))
    assert populations.read(file, "captions").digest != before
    batches, _ = cifar_batches()
    (tmp_path / "cifar").mkdir()
    for name, raw in batches.items():
        (tmp_path / "cifar" / name).write_bytes(raw)
    before = populations.read(tmp_path / "cifar", "labelled").digest
    (tmp_path / "cifar" / "test_batch.bin").write_bytes(batches["test_batch.bin"][:-1] + b"\0")
    assert populations.read(tmp_path / "cifar", "labelled").digest != before


def test_data_whose_files_are_gone_says_so(tmp_path):
    data = populations.read(coco_folder(tmp_path), "captions")
    (tmp_path / "val2017" / f"{3:012d}.jpg").unlink()
    with pytest.raises(errors.DataError, match=r"000000000003\.jpg cannot be read"):
        _ = data.digest


def test_every_picture_of_a_manifest_has_a_licence(tmp_path, class_folders):
    caption_parquet(tmp_path / "data" / "x.parquet")
    data = populations.read(tmp_path / "data", "captions")
    assert {item.licence for item in check_pool(data).manifest.items} == {
        "not stated by the source"
    }
    (tmp_path / "data" / "README.md").write_text(CARD)
    data = populations.read(tmp_path / "data", "captions")
    assert {item.licence for item in check_pool(data).manifest.items} == {"cc-by-4.0, mit"}
    split = populations.read(class_folders, "labelled").probes("quick", 0).split("test")
    assert {item.licence for item in split.items} == {"not stated by the source"}
    coco = populations.read(coco_folder(tmp_path / "coco"), "captions")
    stated = replace(coco, licences=("",) * len(coco.ids)).pool(
        "captions", "car", "plane", "quick", 0
    )
    assert {item.licence for item in stated.manifest.items} == {"not stated by the source"}


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("---\r\nlicense: cc-by-sa-4.0  # of the pictures\r\n---\r\n", "cc-by-sa-4.0"),
        ("---\nlicense: ['mit', \"odbl\"]\n---\n", "mit, odbl"),
        ("---\nlicense:\n  - apache-2.0\nsize: 3\n---", "apache-2.0"),
        ("---\ntask: x\n---\nlicense: mit\n", ""),
        ("license: mit", ""),
        ("---\nlicense:\n---\n", ""),
        ("---\nlicense: \x1b]0;owned\x07\n---\n", ""),
        (hostile.binary_card().decode("utf-8", "replace"), ""),
    ],
)
def test_what_a_card_says_about_its_licence(text, stated):
    assert card.stated(text) == stated


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"captions": "score"},
            ["no caption column", "expected captions or caption or", "found image, score"],
        ),
        ({"image": "photo"}, ["no image column", "expected image or img", "found photo, captions"]),
    ],
)
def test_wrong_columns_are_wrong_usage_before_any_audit_starts(
    tmp_path, monkeypatch, capsys, columns, words
):
    from dife_scanner.cli.commands import run

    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    file = caption_parquet(tmp_path / "mine.parquet")
    table = pq.read_table(file)
    pq.write_table(
        table.rename_columns([columns.get(name, name) for name in table.column_names]), file
    )
    (tmp_path / "t.toml").write_text(
        'format = 1\n[[trigger]]\nname = "t"\nkind = "text"\ntext = "x"\nsource = "automobile"\ntarget = "airplane"\n'
    )
    home = tmp_path / "home"
    asked = [
        "scan",
        str(bases_folder() / "rn"),
        "--triggers",
        str(tmp_path / "t.toml"),
        "--captions",
        str(file),
    ]
    assert run([*asked, "--home", str(home)]) == 64
    said = capsys.readouterr()
    assert said.out == "" and str(file) in said.err and all(word in said.err for word in words), (
        said.err
    )
    assert not (home / "dife.db").exists()


# --- data sets on a hub ----------------------------------------------------------------------------------------


@pytest.fixture
def datasets_hub(tmp_path):
    """A hub on this machine with one data set, and a client for data sets."""
    cifar_parquet(tmp_path / "made")
    with LoopbackHub(tmp_path / "lab") as lab:
        files = {
            path.relative_to(tmp_path / "made").as_posix(): path
            for path in (tmp_path / "made").rglob("*.parquet")
        }
        lab.add_repo("org/tiny", {"README.md": CARD, **files}, kind="datasets")
        lab.add_repo("org/words", {"README.md": "# Data", "data.csv": "a,b"}, kind="datasets")
        lab.add_repo("org/clip", {"README.md": "# A model"})
        yield lab, Hub(lab.endpoint, cache=tmp_path / "hf", repo_type="dataset")


def test_a_data_set_by_id(datasets_hub, tmp_path):
    lab, hub = datasets_hub
    data = populations.read("org/tiny@main", "labelled", hub=hub, cache=tmp_path / "cache")
    assert data.class_names == CIFAR and len(data.ids) == 260
    assert (
        populations.read(*(tmp_path / "cache").glob("*/*"), "labelled").name == data.name
    )  # as manifests say it
    assert data.name.startswith("org/tiny@") and lab.repo("org/tiny").head.sha.startswith(
        data.name.split("@")[1]
    )
    test = data.probes("quick", 0).split("test")
    assert test.images.shape[1:] == (32, 32, 3) and test.items[0].licence == "cc-by-4.0, mit"
    before = hub.requests
    populations.read("org/tiny", "labelled", hub=hub, cache=tmp_path / "cache")
    assert hub.requests - before == 2  # what it is and what it holds; no file again


def test_data_sets_that_cannot_be_taken(datasets_hub, tmp_path):
    _, hub = datasets_hub
    with pytest.raises(errors.DataError, match="no parquet"):
        populations.read("org/words", "labelled", hub=hub, cache=tmp_path / "cache")
    with pytest.raises(RepoNotFound):
        populations.read("org/clip", "labelled", hub=hub, cache=tmp_path / "cache")
    with pytest.raises(LimitExceeded, match="the limit is 100"):
        dataset.fetch(hub, "org/tiny", tmp_path / "cache", limit=100)
    test_file = tmp_path / "made" / "plain_text" / "test-00000-of-00001.parquet"
    folder, _ = dataset.fetch(hub, "org/tiny", tmp_path / "cache", limit=test_file.stat().st_size)
    assert [file.name for file in folder.rglob("*.parquet")] == [test_file.name]
    with pytest.raises(errors.DataError, match="nothing at"):
        populations.read("org/tiny", "labelled")


def test_a_data_set_is_no_model(datasets_hub, tmp_path):
    lab, _ = datasets_hub
    models = Hub(lab.endpoint, cache=tmp_path / "hf")
    listed = [model.repo_id for page in models.pages("author=org") for model in page.models]
    assert listed == ["org/clip"]
    with pytest.raises(RepoNotFound):
        models.info("org/tiny")


# --- data that no audit can use --------------------------------------------------------------------------------


def many_classes(classes, side=224):
    """Four pictures of each class, made when they are read."""
    return Labelled(
        name="mine",
        class_names=tuple(f"c{number}" for number in range(classes)),
        labels=np.repeat(np.arange(classes), 4),
        ids=tuple(map(str, range(4 * classes))),
        load=lambda rows: np.zeros((len(rows), side, side, 3), np.uint8),
    )


def test_more_classes_than_fit_into_memory_are_refused_before_they_are_read():
    with pytest.raises(LimitExceeded, match=r"mine has 10000 classes, .* 40000 pictures: 6 GiB"):
        many_classes(10_000).probes(Budget.QUICK, 0)
    assert len(many_classes(200, side=8).probes(Budget.QUICK, 0).class_names) == 200


def test_a_single_class_is_refused_in_whatever_format_it_comes():
    with pytest.raises(errors.DataError, match="mine has a single class"):
        many_classes(1).probes(Budget.QUICK, 0)
