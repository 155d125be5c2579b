"""What an alert says, and that nothing a stranger wrote does more than stand there."""

from __future__ import annotations

import json
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser

import pytest
from alert_kit import HOSTILE, hostile_finding, make_finding, renamed
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from dife_scanner.alerts.block_kit import as_slack
from dife_scanner.alerts.mail import as_email, as_html, as_text
from dife_scanner.alerts.messages import Message, Picture, message, trial
from dife_scanner.alerts.rules import alerts_for
from dife_scanner.lab.sinks import slack_problem
from dife_scanner.plain import plain
from dife_scanner.records import Alert, Finding, TriageState


def alert(finding: Finding, channel: str = "email") -> Alert:
    return alerts_for(finding, None, [channel])[0]


def single(finding: Finding) -> Message:
    return message([alert(finding)])


def digest(count: int) -> Message:
    return message([alert(make_finding(number)) for number in range(count)])


def mail_of(written: Message) -> EmailMessage:
    """As a mail program reads it."""
    sent = as_email(written, "dife@scanner.test", ["a@example.org", "b@example.org"])
    read = message_from_bytes(sent.as_bytes(), policy=SMTP)
    assert isinstance(read, EmailMessage)
    return read


def bodies(mail: EmailMessage) -> tuple[str, str]:
    assert mail.get_content_type() == "multipart/alternative"
    first, second = mail.iter_parts()
    assert (first.get_content_type(), second.get_content_type()) == ("text/plain", "text/html")
    return first.get_content(), second.get_content()


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        for name, value in attrs:
            assert name != "src"
            assert name != "href" or str(value).startswith("dife://finding/fp1:")


def test_a_mail_says_which_model_how_and_why() -> None:
    mail = mail_of(single(make_finding()))
    assert mail["Subject"] == "[DIFE] Backdoor trigger demonstrated in acme/clip-1"
    for body in bodies(mail):
        for said in (
            "acme/clip-1",
            "textual",
            "enters through the text and leads to dog",
            "dife show fp1:0000000000000001",
            "dife://finding/fp1:0000000000000001",
        ):
            assert said in body


def test_a_mail_is_marked_as_automatic_and_belongs_to_a_list() -> None:
    mail = mail_of(single(make_finding()))
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "<dife-alerts.scanner.test>" in mail["List-Id"]
    assert mail["To"] == "a@example.org, b@example.org"
    assert mail["Date"].datetime is not None


def test_a_retry_has_the_same_message_id_and_other_messages_have_others() -> None:
    ids = [mail_of(single(make_finding(number)))["Message-ID"] for number in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@scanner.test>")


def test_a_regression_continues_the_thread_of_the_first_alert() -> None:
    before = make_finding(triage=TriageState.FIXED_UPSTREAM)
    back = mail_of(message(alerts_for(renamed(before, "a" * 40), before, ["email"])))
    assert back["Subject"].startswith("[DIFE] Back again: ")
    assert back["In-Reply-To"] == mail_of(single(before))["Message-ID"] != back["Message-ID"]


def test_ids_stay_plain_whatever_the_length_of_the_domain() -> None:
    domain = ".".join(["a" * 60] * 4)[:240]
    before = make_finding(triage=TriageState.FIXED_UPSTREAM)
    written = message(alerts_for(renamed(before, "a" * 40), before, ["email"]))
    raw = as_email(written, f"dife@{domain}", ["a@example.org"]).as_bytes().decode("ascii")
    for name in ("Message-ID", "In-Reply-To", "References"):
        (line,) = [one for one in raw.split("\r\n") if one.startswith(f"{name}: ")]
        assert line.startswith(f"{name}: <dife.") and line.endswith(f"@{domain}>")
    assert f"<dife-alerts.{domain}>\r\n" in raw


def test_a_base_that_changed_is_told_as_one_and_counted_as_one() -> None:
    changed = make_finding(7, kind="changed", severity="", reason=f"other weights {HOSTILE}")
    mail = mail_of(single(changed))
    assert mail["Subject"] == "[DIFE] Clean base changed in acme/clip-7"
    for body in bodies(mail):
        assert "other weights" in body and "None of them was accepted" in body
        assert "ackdoor" not in body and "\x1b" not in body
    refused = make_finding(2, kind="refused")
    several = [alerts_for(one, None, ["email"])[0] for one in (make_finding(1), refused, changed)]
    assert message(several).summary.endswith(
        ": 1 with a demonstrated trigger, 1 refused as hostile, 1 about a clean base that changed."
    )


def test_a_refused_file_is_not_called_a_backdoor() -> None:
    text = as_text(single(make_finding(kind="refused", reason="duplicate key in the header")))
    assert "Hostile file refused" in text
    assert "duplicate key in the header" in text
    assert "ackdoor" not in text


def test_a_hostile_model_cannot_add_headers_or_markup_to_a_mail() -> None:
    harmless, hostile = mail_of(single(make_finding())), mail_of(single(hostile_finding()))
    assert hostile.keys() == harmless.keys()
    assert hostile["To"] == harmless["To"]
    assert not hostile.defects
    text, page = bodies(hostile)
    assert "evil" in text
    for body in (text, page, hostile["Subject"]):
        assert all(
            plain(line, 10_000).strip() == " ".join(line.split()) for line in body.splitlines()
        )
        assert "://" not in body.replace("dife://finding/", "")
    tags = _Tags()
    tags.feed(page)
    assert tags.seen <= {
        "html",
        "head",
        "meta",
        "body",
        "h2",
        "p",
        "table",
        "tr",
        "th",
        "td",
        "b",
        "code",
        "a",
        "hr",
        "small",
    }


def test_a_picture_travels_inside_the_mail() -> None:
    picture = Picture(b"\x89PNG\r\n\x1a\n" + bytes(2000), HOSTILE)
    mail = mail_of(message([alert(make_finding())], picture))
    text, related = mail.iter_parts()
    page, drawn = related.iter_parts()
    assert (related.get_content_type(), drawn.get_content_type()) == (
        "multipart/related",
        "image/png",
    )
    assert drawn.get_content() == picture.png
    assert f'<img src="cid:{drawn["Content-ID"][1:-1]}" alt="evil ' in page.get_content()
    assert page.get_content().count("<img") == 1
    for body in (text.get_content(), page.get_content()):
        assert "<script" not in page.get_content()
        assert "://" not in body.replace("dife://finding/", "")


def test_every_line_of_a_mail_is_short_seven_bit_text() -> None:
    raw = as_email(single(hostile_finding()), "dife@scanner.test", ["a@example.org"]).as_bytes()
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")


WRITTEN: dict[str, Callable[[], Message]] = {
    "plain": lambda: single(make_finding()),
    "hostile": lambda: single(hostile_finding()),
    "swelling": lambda: single(make_finding(kind="refused", reason="<" * 5000, target="`&" * 500)),
    "sparse": lambda: single(
        make_finding(kind="refused", carrier="", channel="", trigger="", interfaces=(), reason="")
    ),
    "digest": lambda: digest(21),
    "long digest": lambda: digest(500),
    "hostile digest": lambda: message([alert(hostile_finding(number)) for number in range(60)]),
    "test": lambda: trial("slack", "now"),
}
"""Messages of every kind, made by whoever asks: the long ones take seconds, and every process reads this file."""


@pytest.mark.parametrize("name", WRITTEN)
def test_a_slack_payload_keeps_to_the_limits(name: str) -> None:
    written = WRITTEN[name]()
    payload = json.loads(json.dumps(as_slack(written)))
    assert slack_problem(payload) == ""
    assert len(json.dumps(payload["blocks"], ensure_ascii=False)) <= 10_000
    for block in Block.parse_all(payload["blocks"]):
        block.validate_json()  # slack_sdk's own limits


def test_a_slack_message_cannot_be_made_to_mention_format_or_link() -> None:
    payload = as_slack(single(hostile_finding()))
    said = json.dumps(payload, ensure_ascii=False)
    assert "evil" in said
    assert "<" not in said
    assert "://" not in said.replace("dife://finding/", "")
    assert payload["mrkdwn"] is False
    section = payload["blocks"][2]
    assert section["type"] == "section"
    for each in section["fields"]:
        label, value = each["text"].split("\n")
        assert label.startswith("*")
        assert value.startswith("`") and value.endswith("`") and "`" not in value[1:-1]
        assert each["verbatim"] is True


def test_a_digest_names_what_fits_and_counts_the_rest() -> None:
    few, many = digest(21), digest(500)
    assert few.subject == "[DIFE] 21 findings"
    assert "21 with a demonstrated trigger" in as_text(few)
    assert as_text(many).count("Evidence: ") == as_html(many).count("<code>") == 50
    assert "And 450 more" in as_text(many)
    blocks = as_slack(many)["blocks"]
    listed = sum("dife show" in json.dumps(block) for block in blocks)
    assert listed > 20
    assert f"And {500 - listed} more" in json.dumps(blocks[-1])


def test_a_digest_has_one_id_whatever_its_order() -> None:
    alerts = [alert(make_finding(number)) for number in range(5)]
    assert message(alerts).key == message(alerts[::-1]).key != message(alerts[:4]).key


@settings(max_examples=60)
@given(st.text(st.characters(codec=None), max_size=400))
def test_any_string_gives_a_mail_and_a_payload_that_are_accepted(text: str) -> None:
    written = single(
        make_finding(trigger=text, target=text, reason=text, carrier=text, interfaces=(text, text))
    )
    assert slack_problem(as_slack(written)) == ""
    assert len(mail_of(written).defects) == 0
