"""From a finding to a message somebody reads: rules, channels and delivery."""

from dife_scanner.alerts.channels import AlertChannel, configured, needed_secret
from dife_scanner.alerts.deliver import Delivered, deliver, test_message
from dife_scanner.alerts.messages import Message
from dife_scanner.alerts.rules import alerts_for
from dife_scanner.alerts.slack_bot import SlackBot
from dife_scanner.alerts.slack_webhook import SlackWebhook
from dife_scanner.alerts.smtp import Email

__all__ = [
    "AlertChannel",
    "Delivered",
    "Email",
    "Message",
    "SlackBot",
    "SlackWebhook",
    "alerts_for",
    "configured",
    "deliver",
    "needed_secret",
    "test_message",
]
