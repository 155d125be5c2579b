"""Measures what the bundled bases recognise of the wide probe set, so that no installation has to.

`python -m dife_scanner.lab.pictures.qualify_bases` writes one file for each base, after either was built anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dife_scanner.audit import qualification
from dife_scanner.baselines.home import bundled_references, qualified_folder
from dife_scanner.models.load import load
from dife_scanner.records import Qualification, Reference
from dife_scanner.sentences.recognition import knowledge_words
from dife_scanner.store.codec import to_json


def qualify(base: Reference) -> Qualification:
    """What a bundled base recognises. What it took is left out: it is another machine's."""
    encoder = load(Path(base.path))
    found = qualification.measure(encoder, qualification.bundled())
    print(f"{base.name}: {knowledge_words(found.recognition)}, {found.seconds:.0f} seconds")
    return replace(found, seconds=0.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all of them, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m dife_scanner.lab.pictures.qualify_bases")
    parser.add_argument("names", nargs="*", help="bundled bases; all by default")
    names = parser.parse_args(arguments).names
    folder = qualified_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for base in bundled_references():
        if not names or base.name in names:
            path = folder / f"{base.name}.json"
            path.write_text(to_json(qualify(base)) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
