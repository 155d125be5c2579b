"""One base class, then one class per situation a user can act on.

Each error says what happened, to which file or model, and what to do next. The CLI has the one `except`.
"""


class DifeError(Exception):
    """Base of everything this project raises on purpose.

    `advice` is the next step for a person; `exit_code` is what the command line returns.
    """

    exit_code = 3

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice


class UsageError(DifeError):
    """The command cannot be carried out with these arguments."""

    exit_code = 64


class Overtaken(DifeError):
    """Somebody else decided about the same thing meanwhile; nothing was kept."""


class StandsRefused(UsageError):
    """Somebody refused the checkpoint; approving it all the same has to be said."""


class SettingsError(UsageError):
    """A settings file or variable has a value that is not allowed."""


class UnreadableSecret(SettingsError):
    """A file with a secret that this user may not read."""


class Unforeseen(DifeError):
    """An error that nothing here expects: a mistake of ours, or a machine in a state we have not met."""


def unforeseen(error: BaseException) -> Unforeseen:
    """What to say of an error that is none of ours: its type, its words, and how to learn more."""
    return Unforeseen(
        f"unforeseen error: {type(error).__name__}: {error}",
        "run the same again with -v for the traceback, and report it",
    )


# --- the hub -------------------------------------------------------------------------------------------------


class UnusableEnvironment(DifeError):
    """A variable of the environment (proxy, certificates) with which this process can talk to no hub at all."""


class ClusterUnavailable(DifeError):
    """The Ray cluster cannot be reached, or none of its nodes can audit. Its jobs wait."""


class HubError(DifeError):
    """Something about the hub or one of its repositories."""


class RepoNotFound(HubError):
    """No such repository, or it is private to somebody else."""


class RevisionNotFound(HubError):
    """The repository exists, the revision does not."""


class FileNotOnHub(HubError):
    """The revision exists, the file does not."""


class RepoGated(HubError):
    """Access has to be requested on the hub first."""


class RepoPrivate(HubError):
    """The repository exists and the hub forbids this token (or no token) to read it."""


class RepoDisabled(HubError):
    """The hub has switched the repository off."""


class BadToken(HubError):
    """The hub refused the access token."""


class HubUnavailable(HubError):
    """The hub did not answer in time, answered with a server error or limited our rate: worth trying again.

    `retry_after` is in seconds where the hub gave it.
    """

    def __init__(self, what: str, advice: str = "", retry_after: float | None = None) -> None:
        super().__init__(what, advice)
        self.retry_after = retry_after


class ContentMismatch(HubError):
    """Bytes that arrived are not the bytes the hub announced (size, sha256 or git blob id)."""


# --- intake ---------------------------------------------------------------------------------------------------


class Unsupported(DifeError):
    """A checkpoint of a kind this version cannot audit; never a statement about its safety."""


class NeedsBase(Unsupported):
    """A part of a checkpoint (one tower, an adapter) that can be audited only together with a base that is not here."""


class Unreadable(DifeError):
    """A damaged or contradictory file, which the library that defines its format does not read either; no finding."""


class Refused(DifeError):
    """A file that tries something, as a header that lies or a bomb does: not loaded, kept as a finding."""


class LimitExceeded(DifeError):
    """A stated limit (bytes, tensors, time, memory) was hit; the checkpoint has no verdict."""


class BaseChanged(DifeError):
    """A repository of a clean base holds other files than those that are trusted: not accepted, kept as a finding."""


class NotComparable(DifeError):
    """The suspect and the reference cannot be compared (different architecture, unknown base)."""


# --- audit ----------------------------------------------------------------------------------------------------


class TriggerFileError(UsageError):
    """A trigger file that does not follow the documented format."""


class ProbeError(DifeError):
    """The probe set is missing, incomplete or does not match its manifest."""


class MeasurementError(DifeError):
    """A number that cannot be computed: scores that are not finite, a pool without a target, a label without images.

    Names the interface card and the pool where they are known.
    """

    def __init__(self, what: str, advice: str = "", *, card: str = "", pool: str = "") -> None:
        if card:
            what += f" [card: {card}]"
        if pool:
            what += f" [pool: {pool}]"
        super().__init__(what, advice)
        self.card = card
        self.pool = pool


class CalibrationDamaged(DifeError):
    """A calibration file that is not what was written: cut, changed, or of a format this version does not know."""


class AuditError(DifeError):
    """An audit that started and could not be completed (non-finite embeddings, text longer than the context)."""


class EndedFromOutside(AuditError):
    """Somebody else ended a process that worked on a checkpoint; it is not known to be the checkpoint's doing."""


class DeviceLost(DifeError):
    """The GPU that an audit ran on, or its driver, is gone; it is not known to be the checkpoint's doing."""


# --- home and store -------------------------------------------------------------------------------------------


class HomeUnwritable(DifeError):
    """The state directory cannot be created or written."""


class DiskFull(DifeError):
    """The disk that holds the state directory is full."""


class NoRoom(DiskFull):
    """A download would take more of the disk than the settings allow."""


class StoreBusy(DifeError):
    """Another program holds the database: nothing can be written, or even read, until it lets go."""


class Interrupted(DifeError):
    """A reading that nobody waits for any more was broken off."""


class StoreCorrupt(DifeError):
    """The database fails its own integrity check."""


class NewerSchema(DifeError):
    """The database was written by a newer version of this program."""


class AlreadyWatching(DifeError):
    """Another watcher holds this state directory."""


class NotFound(DifeError):
    """No audit, finding or job of that id, or no deployment of that name."""


class NoDeployment(NotFound):
    """Nothing describes what models are used for, so nothing can be decided for it."""


class NotTrusted(DifeError):
    """A file from elsewhere that is not what its digest or signature says, or is no file of that kind."""


class NoWindow(DifeError):
    """No window can be opened here: no display, or a library that Qt needs is missing."""


class AlertFailed(DifeError):
    """A channel did not take a message.

    `retry_after` in seconds where it gave it; `taken`: recipients that have it although others were refused.
    """

    def __init__(
        self,
        what: str,
        advice: str = "",
        retry_after: float | None = None,
        *,
        taken: tuple[str, ...] = (),
    ) -> None:
        super().__init__(what, advice)
        self.retry_after = retry_after
        self.taken = taken
