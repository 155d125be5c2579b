"""A dead man's switch: an address that is asked for after each complete pass; where it is not, it raises the alarm."""

from __future__ import annotations

import http.client
import urllib.request

from dife_scanner.alerts.private import (
    SecretLookup,
    is_private_address,
    reason_of,
    without_address,
)
from dife_scanner.errors import AlertFailed
from dife_scanner.store import Store, operations

SECONDS = 10.0


def tell(store: Store, look: SecretLookup) -> None:
    """Ask for the address, once for the latest complete pass; without an address nothing. Raises `AlertFailed`.

    What was not told is told at a later call.
    """
    last = operations.last_pass(store, complete=True)
    if not last or last == operations.told_pass(store):
        return
    address = look()
    if not address:
        return
    if not is_private_address(address):
        raise AlertFailed("the secret deadman-url is not an https:// address", "copy it again")
    _ask(address)
    operations.note_told(store, last)


def _ask(address: str) -> None:
    try:
        with urllib.request.urlopen(address, timeout=SECONDS):  # noqa: S310 - checked: https, or this machine
            pass
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = without_address(reason_of(error), address)
        raise AlertFailed(
            f"the dead man's switch was not reached: {reason}", "it will be tried again"
        ) from None
