"""A desktop window on a home directory: it reads the store, writes triage decisions, and audits nothing itself."""

from dife_gui import none

none.keep()
