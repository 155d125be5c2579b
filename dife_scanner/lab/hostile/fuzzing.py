"""Parsers under broken inputs, each made anew from its number; run as a program, the child of `benchmarks/fuzz.py`.

python -m dife_scanner.lab.hostile.fuzzing TARGET SEED FIRST SECONDS FOLDER
"""

from __future__ import annotations

import io
import json
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from dife_scanner.errors import DifeError
from dife_scanner.hub import listing
from dife_scanner.lab.hostile import broken
from dife_scanner.models.header import ParseLimits, parse_header
from dife_scanner.models.layouts import open_clip, transformers_clip, transformers_siglip
from dife_scanner.models.layouts.json_section import read_object
from dife_scanner.models.torch_files import read, state_dict

MOST_MEGABYTES = 200
MOST_SECONDS = 10
"""Of processor time for one input."""
_LIMITS = ParseLimits()


# --- targets --------------------------------------------------------------------------------------------------


def _read_header(raw: bytes) -> None:
    parse_header(io.BytesIO(raw), "x.safetensors", _LIMITS)


def _read_torch(raw: bytes) -> None:
    table = read(io.BytesIO(raw), "x.pt", _LIMITS)
    json.dumps(table.as_json())
    state_dict(table, "x.pt")


def _read_config(raw: bytes) -> None:
    """By the layout that its keys are of."""
    document = read_object(raw, "config.json", _LIMITS)
    if "model_cfg" in document:
        open_clip.parse_config(raw, _LIMITS)
    elif document.get("model_type") == "siglip":
        transformers_siglip.describe(document, None)
    else:
        transformers_clip.describe(document, None)


def _read_listing(raw: bytes) -> None:
    try:
        items = json.loads(raw)
    except ValueError:  # the hub's client reads JSON before the parser sees anything
        return
    found = listing.page(items if isinstance(items, list) else [items])
    if found.malformed:
        raise listing.MalformedError(found.malformed[0])


@dataclass(frozen=True)
class Target:
    """A parser and what it is given."""

    make: Callable[[random.Random], bytes]
    parse: Callable[[bytes], None]


TARGETS = {
    "header": Target(broken.header_input, _read_header),
    "torch": Target(broken.torch_input, _read_torch),
    "config": Target(broken.config_input, _read_config),
    "listing": Target(broken.listing_input, _read_listing),
}


def made(target: str, seed: int, number: int) -> bytes:
    """Input `number` of a seed; always the same."""
    return TARGETS[target].make(random.Random(f"{target}:{seed}:{number}"))


# --- the child ------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What happened so far."""

    next: int
    ends: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    watch_memory: bool = False
    """In a process that did nothing else before."""
    failed: list[str] = field(default_factory=list)


class HangError(BaseException):
    """Raised where one input takes longer than it may."""


def _hang(_: int, __: FrameType | None) -> NoReturn:
    raise HangError


def fuzz(
    target: str, seed: int, first: int, seconds: float, folder: Path, *, watch_memory: bool = False
) -> Tally:
    """Parse inputs from number `first` on for so many seconds; those that fail are written into `folder`."""
    tally = Tally(first, watch_memory=watch_memory)
    until = time.monotonic() + seconds
    while time.monotonic() < until and len(tally.failed) < 10:
        raw = made(target, seed, tally.next)
        end = end_of(TARGETS[target], raw, tally)
        tally.ends[end] += 1
        if end == "crash":
            file = folder / f"{target}-{seed}-{tally.next}.bin"
            file.write_bytes(raw)
            tally.failed.append(str(file))
        tally.next += 1
    return tally


def end_of(target: Target, raw: bytes, tally: Tally) -> str:
    """How one input ended: `read`, the name of an error of ours, or `crash` for anything else, a hang, or memory."""
    began = time.process_time()
    signal.signal(signal.SIGVTALRM, _hang)
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)
    try:
        target.parse(raw)
        end = "read"
    except (DifeError, listing.MalformedError) as error:
        end = type(error).__name__
    except (Exception, HangError):
        traceback.print_exc()
        end = "crash"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    tally.slowest = max(tally.slowest, time.process_time() - began)
    if tally.watch_memory and megabytes() > MOST_MEGABYTES:
        end = "crash"
    return end


def megabytes() -> int:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(arguments: list[str]) -> None:
    """See the module's docstring."""
    target, seed, first, seconds, folder = arguments
    tally = fuzz(target, int(seed), int(first), float(seconds), Path(folder), watch_memory=True)
    print(json.dumps(vars(tally) | {"megabytes": megabytes()}))


if __name__ == "__main__":
    main(sys.argv[1:])
