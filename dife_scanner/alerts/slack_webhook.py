"""Slack through an incoming webhook, which can post and do no more."""

from __future__ import annotations

import http.client
import logging
import math

from dife_scanner import settings as settings_
from dife_scanner.alerts.block_kit import as_slack
from dife_scanner.alerts.messages import Message
from dife_scanner.alerts.private import (
    SecretLookup,
    is_private_address,
    parts_of,
    reason_of,
    without_secrets,
)
from dife_scanner.durable.clock import retry_after
from dife_scanner.errors import AlertFailed

SLACK = "slack"
SILENT = logging.Logger("dife_scanner.alerts.silent", level=logging.CRITICAL + 1)
"""slack_sdk writes the webhook address, which is a secret, into its log."""


class SlackWebhook:
    """Posts to the incoming webhook kept as the secret `slack-webhook`."""

    name = SLACK
    takes_pictures = False

    def __init__(self, config: settings_.Slack, address: SecretLookup) -> None:
        self._config = config
        self._address = address

    def send(self, message: Message) -> None:
        """Post the message."""
        from slack_sdk.errors import SlackClientError
        from slack_sdk.webhook import WebhookClient

        address = self._checked_address()
        timeout = max(1, math.ceil(self._config.timeout_seconds))
        client = WebhookClient(address, timeout=timeout, logger=SILENT, retry_handlers=[])
        client.proxy = None  # leaves proxies to urllib, which honours NO_PROXY
        try:
            answer = client.send_dict(as_slack(message))
        except (
            OSError,
            http.client.HTTPException,
            SlackClientError,
            ValueError,
            LookupError,
        ) as error:
            reason = without_secrets(reason_of(error), parts_of(address))
            raise AlertFailed(
                f"Slack was not reached: {reason}", "it will be tried again"
            ) from None
        if answer.status_code != 200 or answer.body.strip() != "ok":
            raise _slack_error(
                answer.status_code, answer.body, retry_after_of(answer.headers), parts_of(address)
            )

    def _checked_address(self) -> str:
        address = self._address()
        if not address:
            raise AlertFailed(
                "Slack alerts are on, but there is no webhook address",
                "store it as the secret slack-webhook (`dife info` shows where secrets are looked up)",
            )
        if not is_private_address(address):
            raise AlertFailed(
                "the secret slack-webhook is not an https:// address", "copy it again from Slack"
            )
        return address


def _slack_error(status: int, body: str, wait: float | None, secrets: list[str]) -> AlertFailed:
    reason = without_secrets(body, secrets)[:120]
    if status == 429:
        return AlertFailed(
            "Slack limits how often messages are sent", "it will be tried again", wait
        )
    if status in (401, 403, 404, 410):
        return AlertFailed(
            f"Slack does not know this webhook any more: {status} {reason}",
            "make a new incoming webhook and store it as the secret slack-webhook",
            wait,
        )
    return AlertFailed(
        f"Slack did not take the message: {status} {reason}", "it will be tried again", wait
    )


def retry_after_of(headers: object) -> float | None:
    """Seconds to wait, as a `Retry-After` header says in seconds or as a date."""
    if not isinstance(headers, dict):
        return None
    found = {str(name).lower(): str(value) for name, value in headers.items()}
    return retry_after(found.get("retry-after", ""), found.get("date", ""))
