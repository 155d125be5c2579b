"""The home that a demo keeps: emptied by the next one alone, never somebody else's, opened by the command it names."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from calling import dife

from dife_scanner import settings
from dife_scanner.baselines.home import open_home
from dife_scanner.errors import HomeUnwritable, UsageError
from dife_scanner.lab import demo
from dife_scanner.records import Tally


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the data of this user's programs."""
    folder = tmp_path / "data of mine"
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    return folder


def ran(home: Path, **_: object) -> demo.Result:
    """What a demo leaves behind, without its models: its mark, its settings and a database."""
    (home / "demo" / "hub").mkdir(parents=True)
    open_home(settings.load(home)).close()
    return demo.Result(home, (), (), 4, 4, Tally(0, 0, 0, 0, 0.0), None)


def test_a_home_is_kept_until_the_next_demo_which_begins_empty(data: Path) -> None:
    with demo.own_home() as home:
        assert home.parent == data
        ran(home)
        (home / "evidence" / "some").mkdir(parents=True)
    assert (home / "evidence" / "some").is_dir()
    with demo.own_home() as again:
        assert again == home
        assert [path.name for path in home.iterdir()] == ["demo.lock"]


def test_two_demos_at_once_do_not_share_it() -> None:
    with demo.own_home() as home:
        ran(home)
        with pytest.raises(UsageError, match="another demo runs") as refused, demo.own_home():
            pytest.fail("it began")
        assert "--keep" in refused.value.advice
        assert (home / "demo" / "hub").is_dir()


def test_what_no_demo_made_is_left_alone(data: Path) -> None:
    own = data / "dife-scanner-demo" / "thesis.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(UsageError, match="no demo made"), demo.own_home():
        pytest.fail("it began")
    assert own.read_text() == "mine"
    own.unlink()
    with demo.own_home():  # nobody holds it any more
        pass


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with demo.own_home() as home:
        ran(home)
        (home / "link").symlink_to(elsewhere)
    with demo.own_home():
        assert elsewhere.is_dir() and not (home / "link").exists()


def test_a_folder_that_cannot_be_made_is_named_with_what_to_do(data: Path) -> None:
    data.write_text("a file where the folder would be")
    with pytest.raises(HomeUnwritable, match="dife-scanner-demo") as refused, demo.own_home():
        pytest.fail("it began")
    assert "--keep" in refused.value.advice


@pytest.mark.parametrize("found", [True, False])
def test_the_last_lines_name_a_command_that_opens_it(
    found: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where `dife` is not on the path, as after `make demo`."""
    monkeypatch.setattr(demo, "run", ran)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if found else None)
    done = dife("demo", "--quiet")
    assert done.returncode == 0, done.stderr
    *_, last = done.stdout.rstrip().splitlines()
    program, *rest = shlex.split(last)
    assert program == "dife" if found else Path(program).name == "dife"
    assert "until the next demo" in done.stdout.replace("\n", " ")
    shown = dife(*rest, "--once")
    assert shown.returncode == 0, shown.stderr
    kept = dife("demo", "--quiet", "--keep", tmp_path / "kept")
    assert "kept" in kept.stdout and "until the next demo" not in kept.stdout.replace("\n", " ")
