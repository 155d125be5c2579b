"""Where the demo's and the tests' alerts arrive: an SMTP server and a Slack webhook, on loopback only.

Both listen on a port of their own choosing and keep what they accept, in memory and (with a directory) as files.
"""

from dife_scanner.lab.sinks.block_kit import slack_problem
from dife_scanner.lab.sinks.slack import SlackSink
from dife_scanner.lab.sinks.slack_api import Posted, SlackApiSink
from dife_scanner.lab.sinks.smtp import SmtpOptions, SmtpSink
from dife_scanner.lab.sinks.web import Answer

__all__ = [
    "Answer",
    "Posted",
    "SlackApiSink",
    "SlackSink",
    "SmtpOptions",
    "SmtpSink",
    "slack_problem",
]
