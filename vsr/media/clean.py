"""Take a source's dirt out of its frames before the network sees them: named chains of filters.

The filters are FFmpeg's, and look at one frame alone: a frame is the same wherever reading began.
"""

from __future__ import annotations

from fractions import Fraction

import av
from av.error import FFmpegError
from av.filter import Graph
from av.video.reformatter import VideoReformatter

from vsr.errors import MediaError
from vsr.restoration import Clean

UNIT = Fraction(1, 1000)
Filters = tuple[tuple[str, str], ...]
"""Filters of FFmpeg's, in order: (name, arguments)."""


def chain(clean: Clean) -> Filters:
    """The filters of a preset. ``strength`` scales what they change.

    - ``vhs``: chroma of tape is a fifth as sharp as luma, and noisy: it is averaged among alike
      neighbours, and luma is smoothed where it differs by little.
    - ``dvd``: edges of 8x8 blocks are smoothed; chroma a little.
    - ``film``: luma and chroma are smoothed where they differ by little. Scratches stay.
    - ``web``: stronger against blocks, and bands of flat colour become gradients.
    """
    amount = clean.strength
    blocks = [
        ("deblock", f"filter={kind}:block=8:{_thresholds(amount)}") for kind in ("weak", "strong")
    ]
    chroma = ("chromanr", f"thres={1 + 60 * amount:.2f}:sizew=3:sizeh=3")
    smooth = ("bilateral", f"sigmaS=2:sigmaR={0.002 + 0.06 * amount:.4f}:planes=1")
    bands = 0.004 + 0.024 * amount
    return {
        "vhs": (chroma, ("gblur", f"sigma={0.2 + 1.6 * amount:.2f}:sigmaV=0.2:planes=6"), smooth),
        "dvd": (blocks[0], ("chromanr", f"thres={1 + 24 * amount:.2f}:sizew=3:sizeh=3")),
        "film": (smooth, ("chromanr", f"thres={1 + 30 * amount:.2f}:sizew=3:sizeh=3")),
        "web": (
            blocks[1],
            ("deband", f"1thr={bands:.4f}:2thr={bands:.4f}:3thr={bands:.4f}:range=16"),
        ),
    }[clean.preset]


def _thresholds(amount: float) -> str:
    """FFmpeg's defaults at a strength of one half."""
    values = {"alpha": 0.098, "beta": 0.05, "gamma": 0.05, "delta": 0.05}
    return ":".join(f"{name}={2 * value * amount:.4f}" for name, value in values.items())


class Cleaner:
    """Filters frames of one size and of the pixel format ``pix``, one at a time."""

    def __init__(self, filters: Filters, pix: str) -> None:
        self._chain, self._pix = filters, pix
        self._graph: Graph | None = None
        self._reformatter = VideoReformatter()

    def clean(self, frame: av.VideoFrame) -> av.VideoFrame:
        """One frame, cleaned; a single pixel is left as it is.

        Raises :class:`MediaError` for a format that filters do not take.
        """
        if frame.format.name != self._pix:
            frame = self._reformatter.reformat(frame, format=self._pix)
        if frame.width == frame.height == 1:  # nothing is around it, and gblur writes beyond it
            return frame
        try:
            graph = self._graph or self._opened(frame)
            frame.pts, frame.time_base = 0, UNIT
            graph.vpush(frame)
            return graph.vpull()
        except (FFmpegError, ValueError) as error:
            raise MediaError(
                f"frames of the pixel format {self._pix} cannot be cleaned",
                hint="leave out --clean and --grain",
            ) from error

    def _opened(self, frame: av.VideoFrame) -> Graph:
        graph = self._graph = Graph()
        nodes = [
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=av.VideoFormat(self._pix),
                time_base=UNIT,
            )
        ]
        nodes += [graph.add(name, arguments) for name, arguments in self._chain]
        nodes += [graph.add("format", f"pix_fmts={self._pix}"), graph.add("buffersink")]
        graph.link_nodes(*nodes).configure()
        return graph
