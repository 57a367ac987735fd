"""Which segments a plan has, and which of them are left to make. Nothing is decoded to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vsr.jobs.video.plan import Plan
from vsr.jobs.video.segments import Task, lead_in_of
from vsr.media.read.images import pictures_in
from vsr.media.read.index import frame_times
from vsr.media.write.writer import Segment
from vsr.options import EngineOptions


def segment_tasks(plan: Plan, folder: Path, engine: EngineOptions) -> tuple[Task, ...] | None:
    """One task for each segment, where the container tells the time of every frame.

    They are cut where one worker that goes through the video in order cuts them: after so many
    frames.
    """
    times = _times(plan)
    if not times:
        return None
    size, tasks = plan.segment_frames, list[Task]()
    for low in range(0, len(times), size):
        begun = times[max(0, low - plan.lead_frames - 1) : low]
        lead_in, lead_after = lead_in_of(begun, plan.lead_frames)
        tasks.append(
            Task(
                plan=plan,
                folder=folder,
                engine=engine,
                index=low // size,
                after=times[low - 1] if low else None,
                before=times[low + size] if low + size < len(times) else None,
                times=times[low : low + size],
                lead_in=lead_in,
                lead_after=lead_after,
            )
        )
    return tuple(tasks)


def open_task(
    plan: Plan, folder: Path, engine: EngineOptions, finished: Sequence[Segment] = ()
) -> Task:
    """All that follows the finished segments, whatever comes."""
    shown = [time for segment in finished for time in segment.shown]
    lead_in, lead_after = lead_in_of(shown, plan.lead_frames)
    return Task(
        plan=plan,
        folder=folder,
        engine=engine,
        index=len(finished),
        after=shown[-1] if shown else None,
        lead_in=lead_in,
        lead_after=lead_after,
    )


def without_gaps(finished: Sequence[Segment]) -> list[Segment]:
    """The segments from the first on, up to one that is missing."""
    return [segment for place, segment in enumerate(finished) if segment.index == place]


def tasks_match(tasks: Sequence[Task], finished: Sequence[Segment]) -> bool:
    """Whether finished segments hold the frames that the tasks of their numbers would."""
    return all(
        segment.index < len(tasks) and tasks[segment.index].times == segment.shown
        for segment in finished
    )


def merged_tasks(tasks: Sequence[Task]) -> list[Task]:
    """The same work in as few tasks as there can be: neighbours become one."""
    made: list[Task] = []
    for task in sorted(tasks, key=lambda task: task.index):
        last = made[-1] if made else None
        if last is not None and last.times and task.times and last.times[-1] == task.after:
            made[-1] = replace(last, before=task.before, times=last.times + task.times)
        else:
            made.append(task)
    return made


def _times(plan: Plan) -> tuple[int, ...] | None:
    if plan.info.is_folder:
        return tuple(range(len(pictures_in(plan.info.path))))
    if plan.fields is not None:
        low, high = plan.fields.between(*plan.bounds, None)
        told = frame_times(plan.info)  # whoever begins in the middle has to find the place
        known = set(told or ()) >= set(plan.fields.sources.tolist())
        return tuple(plan.fields.times[low:high].tolist()) if told and known else None
    first, last = plan.bounds
    return frame_times(plan.info, first=first, last=last, hold=True)
