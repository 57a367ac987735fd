"""Tell whether video is interlaced, and turn fields into frames: FFmpeg's idet and bwdif."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import av
from av.error import FFmpegError
from av.filter import Graph
from av.video.stream import VideoStream

from vsr.media.files import opened
from vsr.media.probe import MediaInfo

LOOK_FRAMES = 60


class Deinterlacer:
    """One frame out for each frame in, at the same time: both fields' detail, no combing."""

    def __init__(self, stream: VideoStream) -> None:
        self._graph = _graph(stream, "bwdif", "mode=send_frame:parity=auto:deint=all")

    def run(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Filter to the end: the filter holds one frame back, and gives it when flushed."""
        yield from _through(self._graph, frames)


def looks_interlaced(info: MediaInfo) -> bool:
    """Whether the first frames show combing. Asked where a flag says so, to find false flags."""
    counts = {"progressive": 0, "tff": 0, "bff": 0}
    with opened(info.path) as container:
        stream = container.streams[info.video]
        assert isinstance(stream, VideoStream)
        graph = _graph(stream, "idet", "")
        frames = islice(_readable(container.demux(stream)), LOOK_FRAMES)
        for frame in _through(graph, frames):
            kind = frame.metadata.get("lavfi.idet.multiple.current_frame", "undetermined")
            if kind in counts:
                counts[kind] += 1
    return counts["tff"] + counts["bff"] > counts["progressive"]


def _readable(packets: Iterable[av.Packet[VideoStream]]) -> Iterator[av.VideoFrame]:
    for packet in packets:
        try:
            yield from packet.decode()
        except FFmpegError:
            continue  # damaged here; the reader counts it when it comes by


def _graph(stream: VideoStream, name: str, arguments: str) -> Graph:
    graph = Graph()
    source = graph.add_buffer(template=stream)
    middle = graph.add(name, arguments)
    sink = graph.add("buffersink")
    graph.link_nodes(source, middle, sink).configure()
    return graph


def _through(graph: Graph, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    for frame in frames:
        graph.vpush(frame)
        yield from _pulled(graph)
    graph.vpush(None)
    yield from _pulled(graph)


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError):
            return
