"""`python -m dife_scanner.lab.loopback FOLDER`: serve a folder of repositories until interrupted."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from dife_scanner.lab.loopback import LoopbackHub


def main() -> None:
    """Print the endpoint as the first line of stdout and serve; ends on SIGINT or SIGTERM."""
    options = _options()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    hub = LoopbackHub(
        options.folder,
        tokens=dict.fromkeys(options.token, "*"),
        port=options.port,
        cdn_port=options.cdn_port,
    )
    with hub:
        print(hub.endpoint, flush=True)
        stop.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="loopback",
        description=(__doc__ or "").partition(": ")[2],
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0, help="a free one unless given")
    parser.add_argument("--cdn-port", type=int, default=0, help="a free one unless given")
    parser.add_argument("--token", action="append", default=[], help="a token that opens everything; may be repeated")
    return parser.parse_args()


if __name__ == "__main__":
    main()
