"""Settings in, wired collaborators out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dife_scanner.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dife_scanner.alerts.channels import AlertChannel
    from dife_scanner.hub.client import Hub


def hub(settings: Settings) -> Hub:
    """Make a client for the settings' hub."""
    from dife_scanner.queue.work import hub_for

    return hub_for(settings, settings.endpoint)


def channels(settings: Settings) -> Sequence[AlertChannel]:
    """Make the alert channels that are switched on."""
    from dife_scanner.alerts.channels import configured

    return configured(settings)
