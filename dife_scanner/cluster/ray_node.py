"""What runs on a node of a Ray cluster. Only plain values go there and come back, so that versions need not match."""

from __future__ import annotations

import pkgutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from dife_scanner import errors, settings
from dife_scanner.baselines.home import open_home
from dife_scanner.cluster import node
from dife_scanner.cluster.tasks import Task, UnfitNode
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import DifeError, unforeseen
from dife_scanner.queue.work import Work, default_work
from dife_scanner.store.codec import from_json

OWN_WORK = "dife_scanner.cluster.ray_node:own_work"
"""What makes the work of a node, `module:function`."""

Answer = dict[str, bytes]
"""Files of the result by name; or what went wrong, by `_KIND`, `_WHAT` and `_ADVICE`."""
_KIND, _WHAT, _ADVICE = "error", "error.what", "error.advice"


def own_work() -> Work:
    """Work as the settings of this node say: those of `DIFE_HOME` and its config.toml."""
    return default_work(settings.load())


def look(make_work: str, task: str) -> Answer:
    """Say whether this node would make the audit that a task asks for; nothing is kept."""

    def compare(work: Work) -> Answer:
        with open_home(work.settings) as store:
            node.check_fit(store, _task(task), work)
        return {}

    return _answered(make_work, compare)


def do(make_work: str, task: str) -> Answer:
    """Do a task in this node's own home, and send the files of its result."""

    def audit(work: Work) -> Answer:
        asked = _task(task)
        with (
            open_home(work.settings) as store,
            disk_errors(work.home),
            tempfile.TemporaryDirectory(prefix="task-", dir=work.home) as folder,
        ):
            node.do_task(store, asked, work, Path(folder))
            return {path.name: path.read_bytes() for path in Path(folder).iterdir()}

    return _answered(make_work, audit)


def _task(text: str) -> Task:
    """Raises `UnfitNode` for a task of another version."""
    try:
        return from_json(Task, text)
    except ValueError as error:
        raise UnfitNode(
            f"the task cannot be read here: {error}",
            "install the same version of dife-scanner on both",
        ) from error


def _answered(make_work: str, act: Callable[[Work], Answer]) -> Answer:
    try:
        return act(pkgutil.resolve_name(make_work)())
    except Exception as error:
        told = error if isinstance(error, DifeError) else unforeseen(error)
        return {
            _KIND: type(told).__name__.encode(),
            _WHAT: told.what.encode(),
            _ADVICE: told.advice.encode(),
        }


# --- the driver's side ----------------------------------------------------------------------------------------


def error_of(answer: Mapping[str, bytes]) -> DifeError | None:
    """The error that an answer holds; `UnfitNode` for what only somebody on the node can repair."""
    if _KIND not in answer:
        return None
    what, advice = answer[_WHAT].decode(), answer[_ADVICE].decode()
    kind = getattr(errors, answer[_KIND].decode(), UnfitNode)
    if isinstance(kind, type) and issubclass(kind, (errors.HubError, errors.DiskFull)):
        return kind(what, advice)
    return UnfitNode(what, advice)


def write_answer(folder: Path, answer: Mapping[str, bytes]) -> None:
    """Write the files of a result. Raises `DiskFull`, and `ValueError` for a name that leads out of the folder."""
    with disk_errors(folder):
        folder.mkdir(mode=0o700, parents=True)
        for name, content in answer.items():
            if Path(name).name != name:
                raise ValueError(f"{name!r} is no name of a file")
            (folder / name).write_bytes(content)
