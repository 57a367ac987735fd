"""Events as rows for other programs, by a versioned schema. It neither prints nor reads clocks.

``follow`` folds events into where the run is, ``as_row`` tells an event from there. What a row
holds is fixed by ``event_schema.json`` and described in ``docs/guide/events.md``: within a version
a key may be added, never removed or changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

from vsr.events import (
    Advanced,
    BackedOff,
    BatchFinished,
    BatchStarted,
    Event,
    Failed,
    Finished,
    Planned,
    Saved,
    SegmentDone,
    Skipped,
    Started,
    Waiting,
    Warned,
)

SCHEMA = 1
NAMES: dict[type[Event], str] = {
    Started: "started",
    Advanced: "advanced",
    BackedOff: "backed_off",
    SegmentDone: "segment",
    Warned: "warning",
    Saved: "saved",
    Finished: "finished",
    Failed: "failed",
    Skipped: "skipped",
    BatchStarted: "batch_started",
    BatchFinished: "batch_finished",
    Waiting: "waiting",
    Planned: "planned",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: the file at hand and, of a batch, which one it is."""

    source: Path | None = None
    """The file at hand; ``None`` before the first."""
    target: Path | None = None
    """What is made of it; ``None`` before the first."""
    total: int | None = None
    """Frames to expect of the file, an estimate; ``None`` where the source does not say."""
    done: int = 0
    """Frames of the file that are encoded, with those of segments that an earlier run finished."""
    fresh: int = 0
    """Frames of the file that this run has encoded."""
    begun: float = 0.0
    """When the file began, in seconds of the clock that :func:`follow` is given."""
    seconds: float = 0.0
    """Time from the beginning of the file to its last encoded frames."""
    file: int = 0
    """The number of the file at hand, from 1; 0 before the first."""
    files: int | None = 1
    """Files of the batch, 1 without one; ``None`` where a folder is watched."""
    running: bool = False
    """Whether the file at hand has begun and not ended."""

    @property
    def frames_per_second(self) -> float | None:
        """Of the frames that this run made."""
        return self.fresh / self.seconds if self.fresh and self.seconds > 0 else None

    @property
    def eta_seconds(self) -> float | None:
        """Until the file's last frame, were the speed to stay."""
        if self.total is None or self.frames_per_second is None:
            return None
        return max(0, self.total - self.done) / self.frames_per_second


def follow(progress: Progress, event: Event, now: float) -> Progress:
    """Where the run is after ``event``; ``now`` is any clock's seconds that never fall."""
    match event:
        case Started():
            return replace(
                progress, source=event.source, target=event.target, total=event.frames,
                done=0, fresh=0, begun=now, seconds=0.0, file=progress.file + 1, running=True,
            )  # fmt: skip
        case Planned():
            return replace(progress, file=progress.file + 1)
        case Skipped() | Failed(source=Path()):
            begun = progress.running and isinstance(event, Failed)
            return replace(progress, file=progress.file + (not begun), running=False)
        case Advanced():
            done, fresh = progress.done + event.frames, progress.fresh + event.frames
            return replace(progress, done=done, fresh=fresh, seconds=now - progress.begun)
        case SegmentDone(resumed=True):
            return replace(progress, done=progress.done + event.frames)
        case BatchStarted():
            return replace(progress, files=event.files)
        case Finished():
            return replace(progress, running=False)
        case _:
            return progress


def as_row(event: Event, progress: Progress) -> dict[str, object]:
    """One event as JSON's own types; ``progress`` has followed it already."""
    head: dict[str, object] = {
        "schema": SCHEMA,
        "event": NAMES[type(event)],
        "file": progress.file,
        "files": progress.files,
        "source": progress.source if progress.running else None,
        "target": progress.target if progress.running else None,
    }
    match event:
        case Finished():
            head |= {"source": progress.source, "target": progress.target, "report": event.report}
        case BatchFinished():
            counts = {
                state: event.report.count(state)
                for state in ("finished", "skipped", "failed", "left", "planned")
            }
            head |= {"target": event.report.target, "counts": counts, "report": event.report}
        case Planned():
            plan = event.forecast
            head |= {"source": plan.source, "target": plan.target, "plan": plan}
        case _:
            own = {field.name: getattr(event, field.name) for field in fields(event)}
            if isinstance(event, Failed) and event.source is None:  # of the run: its file is known
                own = {key: own[key] for key in ("message", "hint", "exit_code")}
            head |= own
    if isinstance(event, Advanced | SegmentDone):
        worker = event.worker or None
        head |= {"done": progress.done, "total": progress.total, "worker": worker}
    if isinstance(event, Advanced):
        head |= {
            "bottleneck": event.bottleneck or None,
            "seconds": progress.seconds,
            "frames_per_second": progress.frames_per_second,
            "eta_seconds": progress.eta_seconds,
        }
    return cast("dict[str, object]", plain(head))


def plain(value: object) -> object:
    """Any of the library's values in JSON's own types; every text is valid Unicode."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(key): plain(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[object]", value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str | Path | Fraction):
        # A file's name may be any bytes; a lone surrogate would stop the readers of strict JSON.
        return str(value).encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return str(value)
