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


class VerificationFailed(VsrError):
    """The written file, opened again, is not what it should be. The target was left untouched."""

    exit_code = 9
