"""What bases recognise is found again by towers, pictures and version, and by nothing less."""

from __future__ import annotations

from dataclasses import replace

from dife_scanner.records import Qualification, Recognition, Reference
from dife_scanner.store import open_store, qualifications

FOUND = Qualification(
    "image", "text", "pictures", "v1", Recognition({"cat": 0.5}, {"ink": 1.0}), 4, 8, 1.5
)
BASE = Reference("base", "", "image", "text", "0" * 64, "tiny", "")


def test_a_measurement_comes_back_as_it_was(tmp_path) -> None:
    with open_store(tmp_path) as store:
        assert not qualifications.has(store, FOUND)
        qualifications.keep(store, FOUND)
        qualifications.keep(store, FOUND)
        assert qualifications.has(store, FOUND)
        assert qualifications.of(store, BASE, "pictures", "v1") == FOUND


def test_other_towers_pictures_or_versions_were_not_measured(tmp_path) -> None:
    with open_store(tmp_path) as store:
        qualifications.keep(store, FOUND)
        assert qualifications.of(store, replace(BASE, text_tower="other"), "pictures", "v1") is None
        assert qualifications.of(store, BASE, "others", "v1") is None
        assert qualifications.of(store, BASE, "pictures", "v2") is None
