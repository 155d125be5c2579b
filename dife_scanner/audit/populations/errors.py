"""What can be wrong with a population. Each error names the pool or the file, and the card where one is known."""

from __future__ import annotations

from dife_scanner.errors import DifeError, MeasurementError, UsageError


class TargetNotInPool(MeasurementError):
    """No picture of the pool shows the target, so no rank of it exists."""


class SourceNotInPool(MeasurementError):
    """No picture of the pool shows the source, so that no query about it can be drawn."""


class PoolTooSmall(MeasurementError):
    """The pool holds fewer pictures, targets or sources than the budget needs."""


class LabelWithoutImages(MeasurementError):
    """A class name of a labelled population has no picture, or too few to be split."""


class ManifestMismatch(MeasurementError):
    """A pool built again is not the pool of the stored manifest."""


class DataError(DifeError):
    """Data of somebody's own that cannot be read as what it should be."""


class MissingColumn(DataError, UsageError):
    """A table that lacks a column which the pictures, labels or captions are read from."""


class UnreadablePicture(DataError):
    """A file that should be a picture is none, is damaged, or is of a type that is not read."""


class PictureMissing(DataError):
    """A caption file names a picture that is not there."""


class UnsafeFormat(DataError):
    """A format that runs code when it is read."""
