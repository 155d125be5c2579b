"""Where alerts go, as the settings say.

Passwords, tokens and addresses of webhooks are looked up at each send, never kept, never logged, and cut out of every
error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from dife_scanner import secrets
from dife_scanner import settings as settings_
from dife_scanner.alerts.messages import Message
from dife_scanner.alerts.planning import check
from dife_scanner.alerts.private import SecretLookup
from dife_scanner.alerts.slack_bot import SlackBot
from dife_scanner.alerts.slack_webhook import SLACK, SlackWebhook
from dife_scanner.alerts.smtp import EMAIL, Email
from dife_scanner.records import Thread
from dife_scanner.settings import Settings


class AlertChannel(Protocol):
    """Something that takes a message or says why not."""

    name: str
    takes_pictures: bool
    """Whether a message's picture reaches its readers."""

    def send(self, message: Message) -> Thread | None:
        """Return once the other side has accepted `message`; otherwise raise `AlertFailed` (or `SettingsError`).

        A thread that begins with it is given back.
        """


def configured(settings: Settings) -> tuple[AlertChannel, ...]:
    """Make the channels that are switched on or named by a route. Raises `SettingsError` for what cannot be meant."""
    check(settings.alerts)
    found: list[AlertChannel] = []
    password = lookup("smtp-password", settings)
    if settings.alerts.email.enabled:
        found.append(Email(settings.alerts.email, password))
    for name in _named(settings.alerts.routes, EMAIL):
        address = name.removeprefix(f"{EMAIL}:")
        config = settings.alerts.email.model_copy(update={"recipients": (address,)})
        found.append(Email(config, password, name=name))
    if settings.alerts.slack.enabled:
        found += _slack(settings)
    return tuple(found)


def needed_secret(channel: AlertChannel, settings: Settings) -> str:
    """The name of the secret without which a channel cannot send; empty where it needs none."""
    if isinstance(channel, Email):
        return "smtp-password" if settings.alerts.email.username else ""
    return "slack-token" if isinstance(channel, SlackBot) else "slack-webhook"


def _slack(settings: Settings) -> list[AlertChannel]:
    """With a channel a bot writes there, and to those that routes name; without one it is a webhook."""
    config = settings.alerts.slack
    if not config.channel:
        return [SlackWebhook(config, lookup("slack-webhook", settings))]
    token = lookup("slack-token", settings)
    found: list[AlertChannel] = [SlackBot(config, token, config.channel)]
    for name in _named(settings.alerts.routes, SLACK):
        found.append(SlackBot(config, token, name.removeprefix(f"{SLACK}:"), name=name))
    return found


def _named(routes: Iterable[settings_.Route], kind: str) -> list[str]:
    """Channels of a kind that only routes name, each once."""
    names = dict.fromkeys(name for route in routes for name in route.to)
    return [name for name in names if name.startswith(f"{kind}:")]


def lookup(name: str, settings: Settings) -> SecretLookup:
    """What looks a secret up each time that it is needed; it gives `None` where there is none."""

    def look() -> str | None:
        found = secrets.secret(name, settings.home)
        if found is None:
            return None
        return found.value

    return look
