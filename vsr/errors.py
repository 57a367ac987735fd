"""Every way `vsr` can fail: one exception tree, an exit code and a hint on each."""

from __future__ import annotations


class VsrError(Exception):
    """A failure that a person can act on: one sentence that says what came, and a hint.

    ``message`` is the sentence, ``hint`` what to try next (or ``None``). ``exit_code`` is what the
    command line exits with. Anything that is not a ``VsrError`` is a bug and keeps its traceback.
    """

    exit_code: int = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class OptionsError(VsrError):
    """An option's value cannot be used, alone or together with the others."""

    exit_code = 2


class MediaError(VsrError):
    """A file cannot be read or written as video, sound or picture."""

    exit_code = 3


class StorageError(MediaError):
    """A disk is full, a folder is gone, or may not be written to: the same run can go on later."""


class SourceChanged(MediaError):
    """A source is not what it was when the run began: what was made of it is of no use."""


class WeightsError(VsrError):
    """Weights are missing, damaged, or do not fit the network they name."""

    exit_code = 4


class DeviceError(VsrError):
    """The processor asked for is not there or cannot do what was asked."""

    exit_code = 5


class OutOfMemory(DeviceError):
    """Memory ran out even at the smallest tile and a batch of one."""


class DataError(VsrError):
    """Training data cannot be used."""

    exit_code = 6


class TrainingDiverged(VsrError):
    """A training ended because its loss was not finite again and again, or ran away."""

    exit_code = 6


class MissingExtra(VsrError):
    """An optional package that this feature needs is not installed."""

    exit_code = 7


class BatchIncomplete(VsrError):
    """Some files of a batch failed; the others are finished."""

    exit_code = 8


class Unexpected(VsrError):
    """One of several files failed by an exception that nobody foresaw; a log has its traceback."""


class VerificationFailed(VsrError):
    """The written file, opened again, is not what it should be. The target was left untouched."""

    exit_code = 9


class Stopped(KeyboardInterrupt):
    """A run ended early because it was asked to. What it finished is kept, and is gone on with.

    Not a :class:`VsrError`: whoever goes on after errors must not go on after this.
    """

    def __init__(self, message: str = "stopped", *, exit_code: int = 130) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
