"""What a job would do, as plain rows for people: the dry run of any kind of source and target."""

from __future__ import annotations

from pathlib import Path

from vsr.jobs.plan import make_plan
from vsr.media.images import is_picture, picture_size, pictures_in
from vsr.media.probe import probe
from vsr.options import UpscaleOptions


def rows_of(source: Path, target: Path, options: UpscaleOptions, scale: int) -> dict[str, object]:
    """The plan of a video, or the sizes and the count of pictures; ``scale`` is the network's."""
    if not is_picture(source) and target.suffix:
        made = make_plan(source, target, options, scale)
        return {
            "source": str(made.info.path),
            "target": str(made.target),
            "size": f"{made.info.size} to {made.encoding.size}",
            "frames": made.frames,
            "frame_rate": str(made.info.frame_rate),
            "encoder": str(made.encoding),
            "deinterlace": made.deinterlace,
            "kept": list(made.kept),
            "converted": list(made.converted),
            "dropped": list(made.dropped),
            "notes": list(made.notes),
        }
    pictures = [source] if is_picture(source) else pictures_in(source) if source.is_dir() else []
    if pictures:
        low, frames = picture_size(pictures[0]), len(pictures)
    else:
        info = probe(source)
        low, frames = info.size, info.frames
    size = f"{low} to {options.target_size(low, scale)}"
    return {"source": str(source), "target": str(target), "size": size, "frames": frames}
