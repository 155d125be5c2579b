"""Files of image triggers: written as a whole, named by their content."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dife_scanner.durable.atomic import atomic_write
from dife_scanner.records import Trigger, TriggerFile
from dife_scanner.triggers import files


def save_png(values: NDArray[np.uint8], folder: Path) -> TriggerFile:
    """Write a picture [s, s, 3] or [s, s, 4] below `folder`."""
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return _save(stream.getvalue(), ".png", folder)


def save_npy(values: NDArray[np.float32], folder: Path) -> TriggerFile:
    """Write an array of any shape below `folder`, as float32."""
    stream = BytesIO()
    np.save(stream, values.astype(np.float32))
    return _save(stream.getvalue(), ".npy", folder)


def read_png(trigger: Trigger) -> NDArray[np.uint8]:
    """The picture of a trigger's file, [s, s, 3] or [s, s, 4]."""
    from PIL import Image

    assert trigger.file is not None
    with Image.open(trigger.file.path) as image:
        return np.asarray(image)


def copied(file: TriggerFile, folder: Path) -> TriggerFile:
    """The same file in another folder."""
    return _save(files.content(file), Path(file.path).suffix, folder)


def _save(content: bytes, ending: str, folder: Path) -> TriggerFile:
    """A file named by its content; one that is there already is written over with the same bytes, all at once."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = sha256(content).hexdigest()
    path = (folder / f"{digest}{ending}").resolve()
    with atomic_write(path) as stream:
        stream.write(content)
    return TriggerFile(str(path), digest)
