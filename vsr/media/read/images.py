"""Read and write still pictures, and read folders of them as clips of a video."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vsr.color import FULL_RANGE, ColorSpec
from vsr.errors import MediaError
from vsr.geometry import Size
from vsr.media.atomic import write_whole
from vsr.media.clip import Clip
from vsr.media.files import check_regular, stamp, translated
from vsr.media.limits import HINT, PICTURE_BYTES, SOURCE_PIXELS, check_claim
from vsr.media.read.picture_data import (
    PictureData,
    icc_space,
    picture_data,
    turned,
    with_icc,
)
from vsr.media.read.picture_header import claimed_size
from vsr.media.read.probe import FOLDER, MediaInfo
from vsr.media.stall import current_timer, reading
from vsr.media.suffixes import PICTURE_SUFFIXES, is_hidden, is_picture

_SAVE: dict[str, list[int]] = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
    ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3],
}


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order of their names with numbers counted as numbers."""
    with reading(folder):
        shown = [path for path in folder.iterdir() if not is_hidden(path)]
        found = [path for path in shown if is_picture(path) and path.is_file()]
    if not found:
        raise MediaError(
            f"{folder} holds no pictures", hint=f"they end in {', '.join(PICTURE_SUFFIXES)}"
        )
    return sorted(found, key=lambda path: natural(path.name))


@dataclass(frozen=True, slots=True, eq=False)
class PictureFile:
    """A picture file's content."""

    planes: tuple[Tensor, ...]
    """R, G, B and alpha, or one gray, each (1, h, w) code values, turned as they are shown."""
    color: ColorSpec
    """Their layout."""
    data: PictureData
    """What the file holds beside them."""


def read_picture(path: Path, *, allow_huge: bool = False) -> tuple[tuple[Tensor, ...], ColorSpec]:
    """Planes R, G, B and alpha, or one gray, each (1, h, w), and their layout."""
    picture = read_whole_picture(path, allow_huge=allow_huge)
    return picture.planes, picture.color


def read_whole_picture(path: Path, *, allow_huge: bool = False) -> PictureFile:
    """A picture and what its file says beside it; the first, where there are several.

    The orientation that a camera noted is applied. A size beyond
    :data:`~vsr.media.limits.SOURCE_PIXELS` is refused before it is decoded. Raises
    :class:`MediaError`.
    """
    content = _checked_bytes(path, allow_huge=allow_huge)
    said = picture_data(content)
    lossy = path.suffix.lower() in (".jpg", ".jpeg")
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if lossy else cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None or str(pixels.dtype) not in ("uint8", "uint16"):
        raise MediaError(f"{path} is not a picture that can be read", hint="is it complete?")
    if not lossy and content[:4] not in (b"II*\0", b"MM\0*"):  # OpenCV turns JPEG and TIFF alone
        pixels = turned(pixels, said.orientation)
    depth = 8 if str(pixels.dtype) == "uint8" else 16
    if pixels.ndim == 2:
        gray = torch.from_numpy(np.ascontiguousarray(pixels)).unsqueeze(0)
        return PictureFile((gray,), ColorSpec("gray", depth, (0, 0), range=FULL_RANGE), said)
    order = (2, 1, 0, 3)[: pixels.shape[2]]  # OpenCV keeps B, G, R, A
    planes = tuple(
        torch.from_numpy(np.ascontiguousarray(pixels[:, :, place])).unsqueeze(0) for place in order
    )
    color = ColorSpec("rgb", depth, (0, 0), alpha=len(planes) == 4, range=FULL_RANGE)
    return PictureFile(planes, color, said)


def _checked_bytes(path: Path, *, allow_huge: bool) -> bytes:
    """Returns a picture file's bytes, if the size that its header claims is within limits."""
    with reading(path), translated(path, "read"):
        check_regular(path)
        if path.stat().st_size > PICTURE_BYTES and not allow_huge:
            raise MediaError(f"{path} has more than {PICTURE_BYTES >> 20} MB", hint=HINT)
        data = path.read_bytes()
    size = claimed_size(data)
    if size is None:
        raise MediaError(
            f"{path} is not a picture that can be read", hint="is it complete, and of those kinds?"
        )
    check_claim(path, size, allow_huge=allow_huge)
    return data


def picture_size(path: Path, *, allow_huge: bool = False) -> Size:
    """A picture's size as it will be read."""
    planes, _ = read_picture(path, allow_huge=allow_huge)
    return Size(planes[0].shape[-1], planes[0].shape[-2])


def spec_for(path: Path, source: ColorSpec) -> ColorSpec:
    """The colour spec in which a picture file of this name stores ``source``."""
    suffix = path.suffix.lower()
    layout = "gray" if source.layout == "gray" and suffix != ".webp" else "rgb"
    deep = source.depth > 8 and suffix in (".png", ".tif", ".tiff")
    alpha = source.alpha and suffix not in (".jpg", ".jpeg")
    return ColorSpec(layout, 16 if deep else 8, (0, 0), alpha and layout == "rgb", range=FULL_RANGE)


def picture_losses(picture: PictureFile, target: Path) -> tuple[str, ...]:
    """What of a picture a file of the target's name does not hold, for people."""
    color, data = picture.color, picture.data
    kept, suffix = spec_for(target, color), target.suffix.lower()
    lost: list[str] = []
    if color.alpha and not kept.alpha:
        lost.append(f"transparency ({suffix} has none)")
    if color.depth > 8 and kept.depth == 8:
        lost.append(f"{color.depth}-bit depth ({suffix} takes 8 bits)")
    space = icc_space(data.icc)
    if data.icc and space != {"rgb": "RGB", "gray": "GRAY"}.get(kept.layout):
        lost.append(f"ICC profile ({f'it is for {space}' if space else 'it is broken'})")
    if data.pictures > 1:
        lost.append(f"all but the first of the {data.pictures} pictures in the file")
    return (*lost, *data.others)


def write_picture(path: Path, planes: tuple[Tensor, ...], icc: bytes = b"") -> None:
    """Write (1, h, w) planes of :func:`spec_for`: under the name once the file is on the disk.

    The ICC profile goes along, where it is one for such planes.
    """
    arrays = [plane[0].numpy() for plane in planes]
    if len(arrays) == 1:
        pixels = arrays[0]
    else:
        pixels = np.stack([arrays[place] for place in (2, 1, 0, 3)[: len(arrays)]], axis=2)
    suffix = path.suffix.lower()
    try:
        done, data = cv2.imencode(suffix, pixels, _SAVE.get(suffix, []))
    except cv2.error as error:
        raise MediaError(
            f"{path}: {suffix} cannot hold {pixels.shape[1]}x{pixels.shape[0]}"
        ) from error
    if not done:
        raise MediaError(f"{path} could not be encoded")
    content = data.tobytes()
    if icc_space(icc) == ("RGB" if len(arrays) > 1 else "GRAY"):
        content = with_icc(content, icc)
    write_whole(path, content, synced=True)


def probe_folder(folder: Path, fps: Fraction, *, allow_huge: bool = False) -> MediaInfo:
    """Describe a folder of frames as a video of ``fps``, by its first picture."""
    paths = pictures_in(folder)
    picture = read_whole_picture(paths[0], allow_huge=allow_huge)
    planes, color = picture.planes, picture.color
    icc = ("ICC profile (a video has none)",) if picture.data.icc else ()
    return MediaInfo(
        path=folder,
        container=FOLDER,
        video=0,
        codec=paths[0].suffix[1:],
        decoder=None,
        size=Size(planes[0].shape[-1], planes[0].shape[-2]),
        color=color,
        pix_fmt=color.layout,
        read_as=color.layout,
        time_base=1 / fps,
        frame_rate=fps,
        start_seconds=0.0,
        duration_seconds=float(len(paths) / fps),
        frames=len(paths),
        rotation=0,
        display_matrix=None,
        sample_aspect=None,
        field_order="progressive",
        flagged_interlaced=False,
        hdr=None,
        lost=(*icc, *picture.data.others),
        streams=(),
        chapters=0,
        metadata={},
        stamp=stamp(folder),
    )


class FolderReader:
    """Reads a folder of frames as clips; all pictures must have one size and pixel format.

    A picture's time is its number, from 0. Clips cross no multiple of ``segment_frames``, counted
    from behind the first ``lead_frames``. Those before ``first``, up to ``after`` and from ``last``
    on are passed over.
    """

    damaged, repaired, jumps, converted = 0, 0, 0, 0
    changes: tuple[tuple[float, str], ...] = ()

    def __init__(
        self,
        info: MediaInfo,
        *,
        clip_frames: int = 4,
        segment_frames: int = 1 << 30,
        first: int | None = None,
        last: int | None = None,
        after: int | None = None,
        lead_frames: int = 0,
    ) -> None:
        self.info = info
        self._group = clip_frames
        self._segment_frames = segment_frames
        self._begin = max(first or 0, 0 if after is None else after + 1)
        self._before = last
        self._lead_frames = lead_frames
        self.timer = current_timer()

    def __iter__(self) -> Iterator[Clip]:
        paths = pictures_in(self.info.path)[: self._before]
        first = self._begin + self._lead_frames
        lows = range(first, len(paths), self._segment_frames)
        parts = [range(low, min(low + self._segment_frames, len(paths))) for low in lows]
        for segment in (range(self._begin, min(first, len(paths))), *parts):
            for start in range(segment.start, segment.stop, self._group):
                yield self._clip(paths, range(start, min(start + self._group, segment.stop)))

    def _clip(self, paths: Sequence[Path], members: range) -> Clip:
        frames: list[tuple[Tensor, ...]] = []
        huge = self.info.size.pixels > SOURCE_PIXELS  # then that was allowed
        for member in members:
            with self.timer.reading():
                planes, color = read_picture(paths[member], allow_huge=huge)
            size = Size(planes[0].shape[-1], planes[0].shape[-2])
            if size != self.info.size or color != self.info.color:
                raise MediaError(
                    f"{paths[member].name} is {_kind(size, color)}, the first picture is "
                    f"{_kind(self.info.size, self.info.color)}",
                    hint="a video needs frames of one kind; upscale to a folder instead",
                )
            frames.append(planes)
        planes = tuple(torch.cat(group) for group in zip(*frames, strict=True))
        durations = (1,) * len(members)
        return Clip(planes, self.info.color, tuple(members), durations, self.info.time_base)


def _kind(size: Size, color: ColorSpec) -> str:
    return f"{size} {color.layout}{' with alpha' if color.alpha else ''} of {color.depth} bits"


def natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts names with their numbers counted as numbers."""
    parts = re.split(r"(\d+)", name.lower())
    return [(1, int(part)) if part.isdecimal() else (0, part) for part in parts]
