"""What `dife info` says: paths, versions, device, secrets."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from dife_scanner.baselines.home import bases_folder
from dife_scanner.settings import Settings, config_path, secret

if TYPE_CHECKING:
    pass


PACKAGES = ("torch", "open_clip_torch", "huggingface_hub", "sqlite-utils", "apscheduler", "PySide6-Essentials")


def paths(settings: Settings) -> dict[str, str]:
    home = settings.home
    return {
        "home": str(home),
        "settings": str(config_path(home)),
        "database": str(home / "dife.db"),
        "evidence": str(home / "evidence"),
        "cache": str(home / "cache"),
        "bundled bases": str(bases_folder()),
    }


def device(settings: Settings) -> str:
    from dife_scanner.models.device import pick_device

    return str(pick_device(settings.device))


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def secret_source(name: str, settings: Settings) -> str:
    found = secret(name, settings.home)
    return found.source if found else "not set"
