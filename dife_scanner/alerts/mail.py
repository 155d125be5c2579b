"""A message as an e-mail: plain text, HTML, and a picture inside."""

from __future__ import annotations

import html
from collections.abc import Sequence
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy, Policy
from email.utils import formatdate
from typing import Any, cast

from dife_scanner.alerts.messages import SUBJECT_PREFIX, Message, left_out, sha256_of


def as_email(message: Message, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """Plain text first, then HTML with links to our own window alone and no picture but the one inside the mail.

    Equal keys give equal Message-IDs, so a retry is no new mail.
    """
    domain = Address(addr_spec=sender).domain
    mail = EmailMessage(policy=_policy())
    mail["Subject"] = message.subject
    mail["From"] = Address("DIFE Scanner", addr_spec=sender)
    mail["To"] = tuple(Address(addr_spec=recipient) for recipient in recipients)
    mail["Date"] = formatdate()
    mail["Message-ID"] = message_id(message.key, domain)
    if message.follows:
        followed = message_id(message.follows, domain)
        mail["In-Reply-To"] = followed
        mail["References"] = followed
    mail["List-Id"] = f"DIFE Scanner alerts <dife-alerts.{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(as_text(message), cte="quoted-printable")
    mail.add_alternative(as_html(message), subtype="html", cte="quoted-printable")
    if message.picture:
        _, page = mail.iter_parts()
        assert isinstance(page, EmailMessage)
        page.add_related(
            message.picture.png,
            "image",
            "png",
            cid=f"<{_CID}>",
            disposition="inline",
            filename="exposure.png",
        )
    return mail


class _Unfolded(UnstructuredHeader):
    """A header written as it stands, on one line: folded, a long id would become encoded words that match nothing."""

    name: str

    def fold(self, *, policy: Policy[Any]) -> str:
        return f"{self.name}: {self}{policy.linesep}"


def _policy() -> EmailPolicy[Any]:
    headers = HeaderRegistry()
    for name in ("message-id", "in-reply-to", "references", "list-id"):
        headers.map_to_type(name, cast(Any, _Unfolded))
    return SMTP.clone(header_factory=headers)


def message_id(key: str, domain: str) -> str:
    """The Message-ID of the mail with this key."""
    return f"<dife.{sha256_of(key)[:40]}@{domain}>"


_CID = "exposure@dife"
_FOOTER = "Sent by DIFE Scanner; replies are not read."


def as_text(message: Message) -> str:
    """Write a message as plain text."""
    parts = [message.subject.removeprefix(SUBJECT_PREFIX), message.summary]
    for entry in message.entries:
        width = max(len(label) for label, _ in entry.facts)
        facts = "\n".join(f"  {label:<{width}}  {value}" for label, value in entry.facts)
        why = f"  Why: {entry.reason}\n  Evidence: {entry.command}"
        if entry.link:
            why += f"\n  Open: {entry.link}"
        parts.append(f"{facts}\n\n{why}")
    if message.picture:
        parts.append(f"The attached picture: {message.picture.caption}")
    parts += left_out(message, len(message.entries))
    parts.append(f"-- \n{_FOOTER}\n")
    return "\n\n".join(parts)


def as_html(message: Message) -> str:
    """Write a message as an HTML page; its links open the window of this program and nothing else."""
    title = message.subject.removeprefix(SUBJECT_PREFIX)
    parts = [f"<h2>{_html(title)}</h2>", f"<p>{_html(message.summary)}</p>"]
    for entry in message.entries:
        rows = "".join(_html_row(label, value) for label, value in entry.facts)
        parts.append(f"<table>{rows}</table><p><b>Why:</b> {_html(entry.reason)}</p>")
        link = f', or <a href="{_html(entry.link)}">open it in the window</a>'
        command = f"<code>{_html(entry.command)}</code>{link if entry.link else ''}"
        parts.append(f"<p><b>Evidence:</b> {command}</p><hr>")
    if message.picture:
        caption = _html(message.picture.caption)
        parts.append(
            f'<p><img src="cid:{_CID}" alt="{caption}" style="max-width:100%"><br>{caption}</p>'
        )
    for line in left_out(message, len(message.entries)):
        parts.append(f"<p>{_html(line)}</p>")
    parts.append(f"<p><small>{_FOOTER}</small></p>")
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"></head><body>\n{body}\n</body></html>\n'


def _html_row(label: str, value: str) -> str:
    return f'<tr><th align="left" style="padding-right:1em">{_html(label)}</th><td>{_html(value)}</td></tr>'


def _html(text: str) -> str:
    return html.escape(text, quote=True)
