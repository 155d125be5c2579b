"""Composition root, one file per use case: plain arguments in, wired objects out."""
