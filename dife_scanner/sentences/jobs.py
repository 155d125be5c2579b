"""Where a revision without a verdict stands, in words."""

from __future__ import annotations

from dife_scanner.records import Job, JobState


def job_sentence(job: Job) -> str:
    """Where a revision without a verdict stands."""
    state = job.state.value.replace("-", " ")
    if job.state is JobState.DONE:
        return "Done."
    if job.state.is_final:
        return f"No verdict: {state}. This says nothing about whether the checkpoint has a backdoor."
    return f"No verdict yet: {state}."
