"""The researcher's page says what the program does: its columns and its options."""

import re
from pathlib import Path

from dife_scanner.reports.as_csv import COLUMNS

PAGE = (Path(__file__).parents[2] / "docs" / "known-triggers.md").read_text(encoding="utf-8")


def test_the_page_lists_every_column_of_the_csv_with_its_meaning():
    table = dict(
        re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.split("## CSV")[1].split("## JSON")[0], re.M)
    )
    assert table == dict(COLUMNS)


def test_every_option_on_the_page_is_one_of_the_command():
    import inspect

    from dife_scanner.cli.again import rerun
    from dife_scanner.cli.scan import scan

    known = {
        name.replace("_", "-")
        for function in (scan, rerun)
        for name in inspect.signature(function).parameters
    }
    named = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", PAGE)) - {"json", "name", "list"}
    assert named <= known
    assert {"own-triggers", "as-seeds", "extend", "format", "figures"} <= named
