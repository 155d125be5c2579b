"""Widgets: records in, pixels out; no SQL and no decisions."""
