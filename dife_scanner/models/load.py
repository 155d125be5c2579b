"""From a folder of unknown origin to an `Encoder`; the one way weights enter this program.

Order: private copy with hashes (`intake`), header and configuration in a limited child (`sandbox`), then a model
built from checked numbers alone, filled by the safetensors library with every tensor accounted for (`clip`). Nothing
is fetched, nothing is unpickled, and no name in a file is ever looked up anywhere.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.errors import NotFound
from dife_scanner.models import intake, sandbox, tokenizers
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.layouts.open_clip import CONFIG_FILE, parse_config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dife_scanner.models.clip import ClipEncoder
    from dife_scanner.records import HubFile
    from dife_scanner.settings import Limits


def load(
    folder: Path,
    *,
    device: str = "cpu",
    limits: Limits | None = None,
    expected: Mapping[str, HubFile] | None = None,
    workdir: Path | None = None,
    follow_links: bool = False,
    settings_of: Path | None = None,
) -> ClipEncoder:
    """Load an open_clip checkpoint with safetensors from `folder` (or a `.safetensors` file next to its configuration).

    A private copy is made in `workdir` (default: the system's temporary folder) and removed again. `expected` maps
    file names to what the hub announced; sizes and hashes are compared. `device` is `cpu`, `cuda`, `cuda:N` or `auto`.
    `follow_links` is for folders whose owner is trusted, see `intake.find`. With `settings_of`, the folder of another
    checkpoint whose tensors have the same names and shapes, the weights run under that one's configuration. Texts are
    cut by the tokenizer whose document lies in `folder`, or by CLIP's own, see `tokenizers`.

    Raises `Unsupported`, `Unreadable`, `Refused`, `LimitExceeded`, `ContentMismatch`, `DiskFull` or `HomeUnwritable`.
    """
    limits = limits or default_limits()
    files = intake.find(folder, follow_links=follow_links)
    if settings_of is not None:
        files[CONFIG_FILE] = settings_of / CONFIG_FILE
    with _scratch(workdir) as scratch:
        staged = intake.stage(files, expected or {}, scratch / "copy", limits)
        tokenizer = tokenizers.load(folder if folder.is_dir() else folder.parent)
        return load_staged(staged, device=device, limits=limits, tokenizer=tokenizer)


@contextlib.contextmanager
def _scratch(workdir: Path | None) -> Iterator[Path]:
    try:
        made = tempfile.TemporaryDirectory(prefix="dife-", dir=workdir)
    except OSError as error:
        raise intake.disk_error(error, workdir or Path(tempfile.gettempdir())) from error
    with made as name:
        yield Path(name)


def load_staged(
    staged: intake.Staged,
    *,
    device: str = "cpu",
    limits: Limits | None = None,
    tokenizer: tokenizers.Tokenizer | None = None,
) -> ClipEncoder:
    """Load from a private copy that `intake.stage` made; the copy is not needed afterwards.

    Texts are cut by `tokenizer`, or by CLIP's own.
    """
    bounds = parse_limits(limits or default_limits())
    inspection = sandbox.inspect_files(staged.config.path, staged.weights.path, bounds)
    from dife_scanner.models import clip  # torch loads here and not earlier

    return clip.build(inspection, staged.weights, device, tokenizer)


def configuration(folder: Path, limits: Limits) -> ClipConfig:
    """The checked configuration of a reference, which was parsed in the limited child when it was registered.

    Raises `NotFound` where it cannot be read, and what `parse_config` raises.
    """
    path = folder / CONFIG_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}", "put the file back") from error
    return parse_config(raw, parse_limits(limits))


def default_limits() -> Limits:
    """The limits of a program without settings."""
    from dife_scanner.settings import Limits

    return Limits.model_validate({})


def parse_limits(limits: Limits) -> ParseLimits:
    """The part of the settings that bounds parsing, as plain values for the child."""
    return ParseLimits(
        header_bytes=limits.header_bytes,
        config_bytes=limits.small_file_bytes,
        tensors=limits.tensors,
        seconds=limits.parse_seconds,
        memory_mib=limits.parse_rss_mib,
    )
