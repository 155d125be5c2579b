"""How long `dife --help` takes, against the interpreter and the argument parser alone. Prints one JSON document."""

import json
import statistics
import subprocess
import sys
import time

RUNS = 7
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import typer": [sys.executable, "-c", "import typer"],
    "dife --help": [sys.executable, "-m", "dife_scanner", "--help"],
    "dife findings (new home)": [sys.executable, "-m", "dife_scanner", "findings", "--home", "{home}"],
}


def seconds(command: list[str]) -> float:
    """Wall seconds of one run."""
    began = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        rows = {}
        for name, template in COMMANDS.items():
            command = [part.format(home=home) for part in template]
            times = [seconds(command) for _ in range(RUNS)]
            rows[name] = {"median_s": round(statistics.median(times), 3), "min_s": round(min(times), 3)}
    print(json.dumps({"benchmark": "startup", "runs": RUNS, "rows": rows}))


if __name__ == "__main__":
    main()
