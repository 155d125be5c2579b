"""`python -m dife_scanner.lab.sinks DIRECTORY` runs both sinks.

It prints their addresses as one line of JSON, and stops when its standard input is closed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dife_scanner.lab.sinks import SlackSink, SmtpSink


def main(directory: Path) -> None:
    """Run both sinks until standard input is closed."""
    with (
        SmtpSink(directory / "mail") as smtp,
        SlackSink(directory / "slack") as slack,
    ):
        addresses = {
            "smtp_host": smtp.host,
            "smtp_port": smtp.port,
            "slack_url": slack.url,
        }
        print(json.dumps(addresses), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
