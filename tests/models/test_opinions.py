"""What other scanners say is read strictly, and they can do nothing but read and answer."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scanner_programs import picklescan_answer, printing, program

from dife_scanner.models.opinions import OpinionLimits, ask, find
from dife_scanner.models.opinions import run as running
from dife_scanner.models.opinions.interface import NotUnderstoodError, Said, Scanner, together
from dife_scanner.models.opinions.modelaudit import Modelaudit
from dife_scanner.models.opinions.picklescan import Picklescan
from dife_scanner.records import Opinion, OpinionVerdict
from dife_scanner.settings import Opinions

CLEAN, SUSPICIOUS, MALICIOUS, NOT_RUN = OpinionVerdict
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no scanner is started")


# --- what they say --------------------------------------------------------------------------------------------

UNREAD = Said(NOT_RUN, why_not="it reads no such files")
FOUND = "/tmp/x/a.bin:archive/data.pkl: dangerous import 'posix system' FOUND\n"
LISTED = "All globals found:\n  * argparse.Namespace - suspicious\n"
SPOOFED = "x: dangerous import 'a\nDangerous globals: 0\nSuspicious globals: 0\nb' FOUND\n"


@pytest.mark.parametrize(
    ("code", "answer", "expected"),
    [
        (0, picklescan_answer(), Said(CLEAN)),
        (1, FOUND + picklescan_answer(dangerous=1), Said(MALICIOUS, ("dangerous import 'posix system'",))),
        (0, picklescan_answer(suspicious=1) + LISTED, Said(SUSPICIOUS, ("argparse.Namespace - suspicious",))),
        (2, FOUND + picklescan_answer(dangerous=1), Said(MALICIOUS, ("dangerous import 'posix system'",))),
        (0, "WARNING: could not parse x as pickle: …\n" + picklescan_answer(), UNREAD),
        (0, picklescan_answer(scanned=0), UNREAD),
        (0, SPOOFED + picklescan_answer(suspicious=3), Said(SUSPICIOUS)),
        (0, picklescan_answer(dangerous=2) + "Dangerous globals: 0\n", Said(MALICIOUS)),
    ],
)  # fmt: skip
def test_picklescan_is_read_and_no_file_can_soften_what_it_says(
    code: int, answer: str, expected: Said
) -> None:
    assert Picklescan().read(code, answer.encode()) == expected


def modelaudit_answer(*severities: str, **changes: Any) -> bytes:
    issues = [{"severity": one, "message": f"about {one}"} for one in severities]
    return json.dumps({"issues": issues, "files_scanned": 1, "success": True} | changes).encode()


@pytest.mark.parametrize(
    ("code", "answer", "expected"),
    [
        (0, modelaudit_answer(), Said(CLEAN)),
        (0, modelaudit_answer("info"), Said(CLEAN, ("info: about info",))),
        (1, modelaudit_answer("info", "warning"), Said(SUSPICIOUS, ("info: about info", "warning: about warning"))),
        (1, modelaudit_answer("critical", "info"), Said(MALICIOUS, ("critical: about critical", "info: about info"))),
        (2, modelaudit_answer("critical", success=False), Said(MALICIOUS, ("critical: about critical",))),
        (2, modelaudit_answer("info"), Said(NOT_RUN, ("info: about info",), "it could not complete its scan")),
        (0, modelaudit_answer(success=False), Said(NOT_RUN, (), "it could not complete its scan")),
        (0, modelaudit_answer(files_scanned=0), UNREAD),
    ],
)  # fmt: skip
def test_modelaudit_is_read_and_unfinished_is_not_clean(
    code: int, answer: bytes, expected: Said
) -> None:
    assert Modelaudit().read(code, answer) == expected


@pytest.mark.parametrize(
    ("scanner", "answer"),
    [
        (Picklescan(), b""),
        (Picklescan(), b"Traceback (most recent call last):"),
        (Modelaudit(), b""),
        (Modelaudit(), b'{"issues": [], "issues": [1], "success": true, "files_scanned": 1}'),
        (Modelaudit(), b'{"issues": {}, "success": true, "files_scanned": 1}'),
        (Modelaudit(), b'{"issues": ["critical"], "success": true, "files_scanned": 1}'),
        (Modelaudit(), b"[]"),
    ],
)
def test_an_answer_in_another_form_is_no_opinion(scanner: Scanner, answer: bytes) -> None:
    with pytest.raises(NotUnderstoodError):
        scanner.read(0, answer)


def test_the_worst_of_several_files_counts_and_a_gap_is_told() -> None:
    assert together([Said(CLEAN), Said(SUSPICIOUS, ("a",)), Said(MALICIOUS, ("b",))]) == Said(
        MALICIOUS, ("a", "b")
    )
    assert together([UNREAD, UNREAD]) == UNREAD
    partly = together([Said(CLEAN), UNREAD])
    assert partly.verdict is CLEAN
    assert partly.details == ("no opinion on 1 of 2 files: it reads no such files",)


def test_what_is_shown_is_short_and_has_no_control_characters() -> None:
    said = together([Said(MALICIOUS, tuple(f"\x1b[2J{i} {'x' * 5000}" for i in range(500)))])
    assert len(said.details) == 11 and said.details[-1] == "and 490 more"
    assert all(len(detail) <= 200 and detail.isprintable() for detail in said.details)


# --- what they may do -----------------------------------------------------------------------------------------


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Opinion]:
    """The opinion of a stand-in for picklescan about a file `weights.bin`."""
    weights = tmp_path / "copy" / "weights.bin"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def run(path: Path, seconds: float = 60) -> Opinion:
        limits = OpinionLimits(seconds, memory_mib=512)
        (opinion,) = ask([weights], {"picklescan": path}, limits, scratch)
        assert not list(scratch.iterdir())
        assert weights.read_bytes() == b"weights"
        return opinion

    return run


@LINUX
def test_a_scanner_sees_nothing_of_ours_and_cannot_touch_the_copy(
    asked: Callable[..., Opinion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFE_SECRET_HF_TOKEN", "secret")
    script = """
{ echo changed > "$3"; } 2> errors
for there in *; do echo "x: dangerous import '$there' FOUND"; done
read -r error < errors
echo "x: dangerous import '${error##*: }' FOUND"
echo "x: dangerous import '${DIFE_SECRET_HF_TOKEN:-no token} home ${HOME##*/}' FOUND"
test "$HOME" = "$PWD" || exit 0
exit 1"""
    opinion = asked(program(tmp_path / "bin", "picklescan", script))
    assert opinion.verdict is MALICIOUS
    named, refused, surroundings = opinion.details
    assert named == "dangerous import 'errors'"
    assert refused == "dangerous import 'Permission denied'"
    assert surroundings.startswith("dangerous import 'no token home opinion-")


@LINUX
@pytest.mark.parametrize(
    ("script", "words", "seconds"),
    [
        ("while :; do :; done", "longer than 0.6 seconds", 0.6),
        ("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done", "too long an answer", 60),
        ("echo nothing that anybody knows", "no result", 60),
        ("kill -SEGV $$", "signal 11", 60),
    ],
)  # fmt: skip
def test_whatever_a_scanner_does_is_a_reason_and_no_error(
    asked: Callable[..., Opinion],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    words: str,
    seconds: float,
) -> None:
    monkeypatch.setattr(running, "MOST_ANSWER_BYTES", 100_000)
    opinion = asked(program(tmp_path / "bin", "picklescan", script), seconds)
    assert opinion.verdict is NOT_RUN and words in opinion.why_not


@LINUX
def test_a_program_that_is_not_there_is_a_reason(
    asked: Callable[..., Opinion], tmp_path: Path
) -> None:
    opinion = asked(tmp_path / "nowhere")
    assert opinion == Opinion("picklescan", "", NOT_RUN, why_not="its program cannot be started")


@LINUX
def test_its_version_is_that_of_the_package_beside_it(
    asked: Callable[..., Opinion], tmp_path: Path
) -> None:
    package = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    (package / "picklescan-1.0.5.dist-info").mkdir(parents=True)
    path = printing(tmp_path / "venv" / "bin", "picklescan", picklescan_answer())
    assert asked(path) == Opinion("picklescan", "1.0.5", CLEAN)


def test_scanners_are_found_on_the_path_or_where_somebody_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = printing(tmp_path / "bin", "modelaudit", "")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin")
    assert find(Opinions()) == {"modelaudit": there}
    named = Opinions(picklescan="/opt/ps")
    assert find(named) == {"picklescan": Path("/opt/ps"), "modelaudit": there}
    assert find(Opinions(ask="never", picklescan="/opt/ps")) == {}
