"""What `dife info` says: paths, versions, device, what children are kept from, other scanners, secrets."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from dife_scanner.baselines.home import bases_folder
from dife_scanner.confinement.probe import KINDS, probe
from dife_scanner.errors import UnreadableSecret
from dife_scanner.models.opinions import SCANNERS, find
from dife_scanner.secrets import secret
from dife_scanner.sentences.confinement import confinement_text
from dife_scanner.settings import Settings, config_path

PACKAGES = (
    "torch",
    "open_clip_torch",
    "huggingface_hub",
    "sqlite-utils",
    "apscheduler",
    "PySide6-Essentials",
)


def paths(settings: Settings) -> dict[str, str]:
    """Give every path that this home uses, by what lies there."""
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
    """Name the device that audits run on."""
    from dife_scanner.models.device import pick_device

    return str(pick_device(settings.device))


def versions() -> dict[str, str]:
    """Give the versions of the packages that decide what an audit computes."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def children() -> dict[str, str]:
    """Say what each kind of limited child is kept from on this system, and by which means."""
    found = probe()
    return {kind: confinement_text(found[kind], wanted) for kind, wanted in KINDS.items()}


def scanners(settings: Settings) -> dict[str, str]:
    """Say which programs are asked for a second opinion, by the name of the scanner."""
    found = find(settings.opinions)
    absent = "never asked" if settings.opinions.ask == "never" else "not found"
    return {scanner.name: str(found.get(scanner.name, absent)) for scanner in SCANNERS}


def secret_source(name: str, settings: Settings) -> str:
    """Say where a secret comes from, or that it lies where this user may not look; its value is never shown."""
    try:
        found = secret(name, settings.home)
    except UnreadableSecret as error:
        return error.what
    if found is None:
        return "not set"
    return found.source
