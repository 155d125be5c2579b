"""Where a revision without a verdict stands, and what the queue takes of the disk, in words."""

from __future__ import annotations

from dife_scanner.records import DiskUse, Job, JobState
from dife_scanner.sentences.numbers import bytes_text


def job_sentence(job: Job) -> str:
    """Where a revision without a verdict stands."""
    state = job.state.value.replace("-", " ")
    if job.state is JobState.DONE:
        return "Done."
    if job.state.is_final:
        return (
            f"No verdict: {state}. This says nothing about whether the checkpoint has a backdoor."
        )
    return f"No verdict yet: {state}."


def disk_text(use: DiskUse) -> str:
    """`disk: fetched weights take 1.2 GB of 107.4 GB; 73.0 GB are free, of which 5.4 GB stay free`."""
    return (
        f"disk: fetched weights take {bytes_text(use.fetched)} of {bytes_text(use.quota)}; "
        f"{bytes_text(use.free)} are free, of which {bytes_text(use.floor)} stay free"
    )
