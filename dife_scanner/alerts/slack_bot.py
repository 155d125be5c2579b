"""Slack through a bot token: a thread for each model, whose first message is edited when somebody decides."""

from __future__ import annotations

import http.client
import logging
import math
from collections.abc import Callable
from typing import Any

from dife_scanner import settings as settings_
from dife_scanner.alerts.block_kit import as_slack
from dife_scanner.alerts.messages import Message
from dife_scanner.alerts.private import SecretLookup, reason_of, without_secrets
from dife_scanner.alerts.slack_webhook import SILENT, SLACK, retry_after_of
from dife_scanner.errors import AlertFailed
from dife_scanner.records import Thread

log = logging.getLogger(__name__)

_WRONG_TOKEN = (
    "invalid_auth",
    "not_authed",
    "token_revoked",
    "token_expired",
    "account_inactive",
    "no_permission",
    "missing_scope",
)
_WRONG_PLACE = ("channel_not_found", "not_in_channel", "is_archived")
_GONE = ("message_not_found", "thread_not_found", "cant_update_message")


class SlackBot:
    """Posts to one channel of Slack with the token kept as the secret `slack-token`."""

    takes_pictures = True

    def __init__(
        self, config: settings_.Slack, token: SecretLookup, place: str, *, name: str = SLACK
    ) -> None:
        self.name = name
        self._config = config
        self._token = token
        self._place = place

    def send(self, message: Message) -> Thread | None:
        """Edit the first message of the model's thread, answer in it, or begin one, which is given back."""
        token = self._checked_token()
        client = self._client(token)
        thread = message.thread
        if thread is not None:
            try:
                self._go_on(client, token, thread, message)
                return None
            except _ThreadGone:
                log.info("the thread about %s is gone; a new one begins", message.model)
        answer = self._asked(token, lambda: client.chat_postMessage(**self._said(message)))
        begun = Thread(str(answer["ts"]), str(answer["channel"]), message.fingerprint)
        self._upload(client, begun, message)
        return begun if message.model else None

    def _go_on(self, client: Any, token: str, thread: Thread, message: Message) -> None:
        said = {**self._said(message), "channel": thread.place}
        if message.edits and message.fingerprint == thread.fingerprint:
            self._asked(token, lambda: client.chat_update(ts=thread.reference, **said))
            return
        said |= {"thread_ts": thread.reference, "reply_broadcast": not message.edits}
        self._asked(token, lambda: client.chat_postMessage(**said))
        self._upload(client, thread, message)

    def _said(self, message: Message) -> dict[str, Any]:
        return {**as_slack(message), "channel": self._place}

    def _upload(self, client: Any, thread: Thread, message: Message) -> None:
        """Put the picture into the thread. The message has arrived: without it nothing is sent again."""
        if message.picture is None:
            return
        try:
            client.files_upload_v2(
                channel=thread.place,
                thread_ts=thread.reference,
                content=message.picture.png,
                filename="exposure.png",
                title=message.picture.caption,
            )
        except (
            Exception
        ) as error:  # of whatever the upload consists of; its words may hold an address
            log.warning("a picture did not get to Slack: %s", type(error).__name__)

    def _client(self, token: str) -> Any:
        from slack_sdk import WebClient

        client = WebClient(
            token,
            base_url=self._config.api,
            timeout=max(1, math.ceil(self._config.timeout_seconds)),
            logger=SILENT,
            retry_handlers=[],
        )
        client.proxy = None  # leaves proxies to urllib, which honours NO_PROXY
        return client

    def _checked_token(self) -> str:
        token = self._token()
        if not token:
            raise AlertFailed(
                "Slack alerts are on, but there is no token",
                "store it as the secret slack-token (`dife info` shows where secrets are looked up)",
            )
        return token

    def _asked(self, token: str, ask: Callable[[], Any]) -> Any:
        """What Slack answered. Raises `AlertFailed`, and `_ThreadGone` where there is no such message any more."""
        from slack_sdk.errors import SlackApiError, SlackClientError

        try:
            return ask()
        except SlackApiError as error:
            raise _failure(error, token) from None
        except (OSError, http.client.HTTPException, SlackClientError, ValueError) as error:
            reason = without_secrets(reason_of(error), [token])
            raise AlertFailed(
                f"Slack was not reached: {reason}", "it will be tried again"
            ) from None


class _ThreadGone(AlertFailed):
    """Somebody removed the message that a thread hangs on."""


def _failure(error: Any, token: str) -> AlertFailed:
    code = without_secrets(str(error.response.get("error", "")), [token])[:80]
    if error.response.status_code == 429 or code == "ratelimited":
        wait = retry_after_of(dict(error.response.headers))
        return AlertFailed(
            "Slack limits how often messages are sent", "it will be tried again", wait
        )
    if code in _GONE:
        return _ThreadGone(f"Slack has no such message any more: {code}")
    if code in _WRONG_TOKEN:
        return AlertFailed(
            f"Slack does not take the token: {code}",
            "store one with chat:write and files:write as the secret slack-token",
        )
    if code in _WRONG_PLACE:
        return AlertFailed(
            f"Slack does not let the bot write there: {code}",
            "check alerts.slack.channel, and invite the bot to the channel",
        )
    return AlertFailed(f"Slack did not take the message: {code}", "it will be tried again")
