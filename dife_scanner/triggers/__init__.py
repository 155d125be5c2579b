"""Triggers: their file format, how one is put on an input, and which of the library moves a checkpoint."""
