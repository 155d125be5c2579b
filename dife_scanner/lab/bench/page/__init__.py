"""Rows as documents: the page, its tables and pictures."""
