"""For every test."""

import pydantic.fields  # noqa: F401 - before pytest-qt imports PySide6, whose import hook breaks a first import of pydantic
