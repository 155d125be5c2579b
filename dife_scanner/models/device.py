"""Where models run. Needs torch and nothing else, so that asking costs no more than that."""

from __future__ import annotations

import torch

from dife_scanner.errors import SettingsError
from dife_scanner.models.strict_json import shown


def seen_devices() -> tuple[str, ...]:
    """What torch can work with here: the CPU, and each CUDA device by its name."""
    found = ["cpu"]
    for number in range(torch.cuda.device_count()):
        found.append(f"cuda:{number} ({torch.cuda.get_device_name(number)})")
    return tuple(found)


def pick_device(name: str) -> torch.device:
    """`auto` is the first CUDA device where there is one, else the CPU.

    Raises `SettingsError`, so that a queue waits until the device is there, or another one is set.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"the device {shown(name)} cannot be used here",
            "set device to cpu, cuda, cuda:N or auto; `dife doctor` says which there are",
        ) from error
    return device
