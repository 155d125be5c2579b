"""What torch's errors say of the device: that memory is used up, or that it is gone. Torch-free.

Torch raises a `RuntimeError` for both, in most versions of no kind of its own, so that its words have to say which.
"""

from __future__ import annotations

from dife_scanner.errors import DeviceLost, DifeError, LimitExceeded

_USED_UP = ("out of memory", "DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")
_GONE = ("CUDA error", "CUDA driver", "No CUDA GPUs are available")
_MOST_WORDS = 200
"""Of torch's message: its second line on says how to debug torch."""


def as_ours(error: BaseException) -> DifeError | None:
    """The error that a user can act on; `None` where it says nothing of a device.

    Memory that is used up is a limit. A device that is gone is no doing of the checkpoint's.
    """
    if not isinstance(error, RuntimeError):
        return None
    words = _words(error)
    if is_used_up(error):
        return LimitExceeded(
            f"the audit ran out of memory: {words}",
            'set device = "cpu", or audit it on a machine with more memory',
        )
    if type(error).__name__ == "AcceleratorError" or words.startswith(_GONE):
        return DeviceLost(
            f"the device that it ran on is gone: {words}",
            "see whether `dife doctor` finds it; what searches finished is kept",
        )
    return None


def is_used_up(error: BaseException) -> bool:
    """Whether it says that there is no memory for what was to be computed."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    of_torch = type(error).__name__ == "OutOfMemoryError"
    return of_torch or any(one in _words(error) for one in _USED_UP)


def _words(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:_MOST_WORDS]
