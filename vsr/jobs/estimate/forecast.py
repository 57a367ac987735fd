"""What a run would do and take, told before it begins; and whether the disk has room for it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from vsr.errors import MediaError
from vsr.events import Forecast
from vsr.infer.engine import Engine
from vsr.jobs.estimate.trial_run import TrialResult, trial_run
from vsr.jobs.video.plan import Plan
from vsr.jobs.work_folder import folder_of
from vsr.units import amount

MARGIN = 1.1  # some frames are not all of them


def forecast(plan: Plan, engine: Engine, measured: TrialResult | None = None) -> Forecast:
    """Everything that can be said of a planned video; measured here unless given."""
    measured = measured or trial_run(plan, engine)
    frames = plan.frames
    video = None if frames is None else measured.bytes_of(frames, plan.segment_frames)
    carried = _carried(plan)
    return Forecast(
        source=plan.info.path,
        target=plan.target,
        size=plan.info.size,
        target_size=plan.encoding.size,
        frames=frames,
        frame_rate=str(plan.timing.frame_rate),
        model=engine.upscaler.name,
        device=str(engine.placement),
        encoder=str(plan.encoding),
        deinterlace=plan.fields is not None,
        kept=plan.kept,
        converted=plan.converted,
        dropped=plan.dropped,
        notes=plan.notes,
        measured_frames=measured.frames,
        stage_seconds=measured.stages,
        frames_per_second=1 / measured.seconds if measured.seconds > 0 else None,
        expected_seconds=None if frames is None else frames * measured.seconds,
        target_bytes=None if video is None else video + carried,
        disk_bytes=None
        if video is None
        else max(0, round(2 * video * MARGIN) + carried - _work_bytes(plan.target)),
        disk_free_bytes=free_bytes(plan.target.parent),
    )


def check_room(plan: Plan, engine: Engine) -> None:
    """Raise :class:`MediaError` where the disk cannot hold the run.

    Frames are encoded to tell only where the frames as they are would not fit: not for short ones.
    """
    if plan.frames is None:
        return
    if free_bytes(plan.target.parent) < 2 * plan.frames * _raw(plan) + _carried(plan):
        check_enough(forecast(plan, engine))


def check_enough(estimate: Forecast) -> None:
    """Raise :class:`MediaError` where a forecast needs more than is free."""
    if estimate.disk_bytes is not None and estimate.disk_free_bytes is not None:
        _compare(estimate.disk_bytes, estimate.disk_free_bytes, estimate.target)


def check_room_for_all(forecasts: Sequence[Forecast]) -> None:
    """The same for a batch: its targets stay, and one at a time needs room to be made."""
    known = [(estimate.disk_bytes, estimate.target_bytes) for estimate in forecasts]
    pairs = [(disk, target) for disk, target in known if disk is not None and target is not None]
    if pairs:
        needed = sum(target for _, target in pairs) + max(disk - target for disk, target in pairs)
        _compare(needed, free_bytes(forecasts[0].target.parent), forecasts[0].target)


def _compare(needed: int, free: int, target: Path) -> None:
    if needed > free:
        raise MediaError(
            f"the run needs about {amount(needed)} on the disk of {target}, and {amount(free)} "
            "are free",
            hint="make room, choose another folder or a higher --crf, or give --force to try",
        )


def free_bytes(folder: Path) -> int:
    """What the disk of a folder, which need not be there yet, still takes."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _raw(plan: Plan) -> int:
    """Bytes of a frame that is not compressed at all: no encoder makes more, but for headers."""
    color = plan.encoding.color
    samples = sum(plane.pixels for plane in color.plane_sizes(plan.encoding.size))
    return samples * (1 if color.depth <= 8 else 2) + 1024


def _carried(plan: Plan) -> int:
    """At most what the source takes: its other streams, of which the sizes are not known."""
    info = plan.info
    if info.is_folder:
        return 0
    whole = (info.duration_seconds or 0.0) * float(info.frame_rate)
    share = min(1.0, (plan.frames or whole) / whole) if whole else 1.0
    return round(info.path.stat().st_size * share)


def _work_bytes(target: Path) -> int:
    """What an earlier run of the same target has on the disk already."""
    folder = folder_of(target)
    if not folder.is_dir():
        return 0
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
