"""Audits on other machines: jobs go out as task files, results come back as folders, the database decides."""
