"""From a finding to a message somebody reads: rules, channels and delivery."""

from dife_scanner.alerts.channels import AlertChannel, Email, SlackWebhook, configured
from dife_scanner.alerts.deliver import Delivered, deliver, test_message
from dife_scanner.alerts.messages import Message
from dife_scanner.alerts.rules import alerts_for

__all__ = [
    "AlertChannel",
    "Delivered",
    "Email",
    "Message",
    "SlackWebhook",
    "alerts_for",
    "configured",
    "deliver",
    "test_message",
]
