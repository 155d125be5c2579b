"""The HTML of a mail that a server took, opened in a browser: what it shows, and that nothing of a stranger runs."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import chromium
import numpy as np
import pytest
from alert_kit import email_to, hostile_finding, make_finding
from PIL import Image
from study_factories import audit

from dife_scanner.alerts import alerts_for
from dife_scanner.alerts.messages import Picture, message
from dife_scanner.figures.colours import LIGHT
from dife_scanner.lab.sinks import SmtpSink
from dife_scanner.records import Finding
from dife_scanner.reports import figures
from dife_scanner.reports.study import study

ACTIVE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
"""A name that changes the title of any page in which a part of it runs."""
DARKEST_RED = (179, 38, 30)
"""About the colour of the largest difference in an exposure matrix."""

pytestmark = chromium.needed


def received(smtp: SmtpSink, finding: Finding) -> EmailMessage:
    """The mail about it, with an exposure matrix, as the server got it."""
    png = figures.matrix_png(study([(finding.ref.repo_id, audit())]))
    assert png is not None
    told = message(alerts_for(finding, None, ["email"]), Picture(png, "Exposure matrix"))
    email_to(smtp.port).send(told)
    return smtp.mails[-1]


def page_of(mail: EmailMessage, folder: Path) -> Path:
    """Its HTML as a file, with the picture that came along beside it, as a mail program shows both."""
    html = mail.get_body(("html",))
    assert isinstance(html, EmailMessage)
    (picture,) = (part for part in mail.walk() if part.get_content_type() == "image/png")
    (folder / "inline.png").write_bytes(picture.get_content())
    text, address = html.get_content(), f"cid:{picture['Content-ID'].strip('<>')}"
    assert text.count(address) == 1
    page = folder / "mail.html"
    page.write_text(text.replace(address, "inline.png"), encoding="utf-8")
    return page


def test_the_exposure_matrix_is_shown_in_the_mail(smtp: SmtpSink, tmp_path: Path) -> None:
    assert LIGHT.exposed_high == "#{:02x}{:02x}{:02x}".format(*DARKEST_RED)
    page = page_of(received(smtp, make_finding()), tmp_path)
    seen = np.asarray(Image.open(chromium.picture(page, tmp_path / "seen.png")).convert("RGB"))
    is_red = np.abs(seen.astype(int) - DARKEST_RED).max(axis=2) < 30
    assert is_red.sum() > 10_000  # of 900,000 pixels
    assert (seen == 255).all(axis=2).mean() > 0.5  # text on white above it


@pytest.mark.parametrize("name", ["active", "hostile"])
def test_a_hostile_model_is_text_and_nothing_else(
    smtp: SmtpSink, tmp_path: Path, name: str
) -> None:
    hostile = hostile_finding()
    if name == "active":
        hostile = make_finding(ref=type(hostile.ref)(f"acme/{ACTIVE}", ACTIVE), target=ACTIVE)
    text = chromium.dom(page_of(received(smtp, hostile), tmp_path))
    assert "owned" not in text.replace("'owned'", "") and "<title" not in text
    assert "<script" not in text and "onerror" not in text.replace("&lt;img src=x onerror", "")
    assert text.count("<img ") == 1 and text.count("<a ") == 1
    assert 'href="dife://finding/' in text and "http" not in text.replace("https[:]//", "")
