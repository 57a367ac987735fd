"""What a finished job did, as one frozen value that goes through JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vsr.geometry import Size


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """What one of several workers did; ``utilisation`` is the share of the run, 0..1, it worked."""

    name: str
    segments: int
    frames: int
    seconds: float
    utilisation: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a finished job did.

    ``waiting`` maps a stage (decode, enlarge, encode) to the share of the run's time, 0..1, that it
    spent waiting for the others: the stage that waits least is the bottleneck. ``damaged`` counts
    packets that the decoder could not read and frames that it concealed. ``workers`` is empty where
    there was but one.
    """

    target: Path
    frames: int
    size: Size
    target_size: Size
    seconds: float
    bytes: int
    waiting: dict[str, float]
    kept: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    damaged: int = 0
    model: str = ""
    device: str = ""
    encoder: str = ""
    workers: tuple[WorkerShare, ...] = ()

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Report:
        """The report that ``asdict`` made ``row`` of, after its way through JSON."""
        values: dict[str, Any] = {
            key: tuple(cast("list[str]", value)) if isinstance(value, list) else value
            for key, value in row.items()
        }
        values["target"] = Path(row["target"])
        for key in ("size", "target_size"):
            values[key] = Size(**row[key])
        values["workers"] = tuple(WorkerShare(**share) for share in row.get("workers", ()))
        return cls(**values)
