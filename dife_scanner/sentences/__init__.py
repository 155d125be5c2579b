"""Sentences made from records, for terminal, window, mail and JSON alike: one place for each."""
