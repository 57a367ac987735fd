"""A known shift of chroma is found to the sample and undone; where there is none, none is found."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.filter import Graph

from tests.marks import usually
from vsr.media.chroma_shift import Shift, maps_of, measure_shift, moved_back, shift_of
from vsr.media.clean import chain
from vsr.media.read.probe import probe
from vsr.media.read.reader import Reader
from vsr.media.samples import Plane, samples
from vsr.restoration import Clean

COLOURED = ("bbb_854x480_30s.mp4", "crystal_720x480.mp4", "dog_640x360.mp4")
DULL = ("car_768x432.mp4", "sintel_854x480.mp4")
WIDTH, HEIGHT = 256, 192


def scene(count: int, *, seed: int = 0) -> list[np.ndarray]:
    """RGB pictures of coloured discs that drift before a textured ground."""
    random = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(random.normal(0, 1, (HEIGHT, WIDTH)), (0, 0), 2.0)
    ground = np.repeat((120 + 40 * ground / ground.std())[..., None], 3, axis=2)
    discs = [
        (random.integers(0, WIDTH), random.integers(0, HEIGHT), random.integers(8, 24), colour)
        for colour in random.integers(20, 236, (24, 3)).tolist()
    ]
    made: list[np.ndarray] = []
    for number in range(count):
        picture = np.clip(ground, 16, 235).astype(np.uint8)
        for x, y, radius, colour in discs:
            cv2.circle(picture, (int(x + 2 * number) % WIDTH, int(y)), int(radius), colour, -1)
        made.append(picture)
    return made


def coloured(path: Path, frames: list[np.ndarray], pix: str, across: int, down: int) -> Path:
    """A lossless video whose chroma lies off by so many of its samples."""
    graph = Graph()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix
        nodes = [
            graph.add_buffer(
                width=stream.width,
                height=stream.height,
                format=av.VideoFormat(pix),
                time_base=Fraction(1, 25),
            )
        ]
        if across or down:
            sides = f"cbh={across}:crh={across}:cbv={down}:crv={down}"
            nodes.append(graph.add("chromashift", sides))
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        for picture in frames:
            graph.vpush(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix))
            container.mux(stream.encode(graph.vpull()))
        container.mux(stream.encode(None))
    return path


def moved(plane: Plane, across: int, down: int) -> Plane:
    matrix = np.array([[1, 0, across], [0, 1, down]], np.float32)
    size = plane.shape[::-1]
    return np.asarray(
        cv2.warpAffine(plane, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


@pytest.mark.parametrize("pix", ["yuv420p", "yuv422p", "yuv411p", "yuv444p10le"])
@pytest.mark.parametrize("by", [(0, 0), (2, 0), (3, 1), (-4, -2), (0, 1)])
def test_a_known_shift_is_found_to_the_sample(
    tmp_path: Path, pix: str, by: tuple[int, int]
) -> None:
    path = coloured(tmp_path / "in.mkv", scene(12), pix, *by)
    found = measure_shift(probe(path))
    assert found == (Shift(*by) if any(by) else None)


@pytest.mark.parametrize("pix", ["gray", "bgr0"])
def test_what_has_no_chroma_has_no_shift(tmp_path: Path, pix: str) -> None:
    assert measure_shift(probe(coloured(tmp_path / "in.mkv", scene(4), pix, 0, 0))) is None


def test_colour_without_edges_tells_nothing() -> None:
    luma = scene(1)[0][..., 1].astype(np.float32)
    flat = np.full((HEIGHT // 2, WIDTH // 2), 140, np.float32)
    assert not maps_of((luma, flat, flat))
    assert not maps_of((luma[:16, :16], flat[:8, :8], flat[:8, :8]))
    noise = np.random.default_rng(1).normal(128, 20, (2, 12, HEIGHT // 2, WIDTH // 2))
    frames = [maps_of((luma, *noise[:, n].astype(np.float32))) for n in range(12)]
    assert all(frames)
    assert shift_of(frames) is None


def test_the_filters_move_chroma_back(tmp_path: Path) -> None:
    """Where frames with a shift are cleaned, they are as those without."""
    frames = scene(6)
    for pix, by in (("yuv420p", (3, 1)), ("yuv422p", (2, -1))):
        path = coloured(tmp_path / f"{pix}.mkv", frames, pix, *by)
        plain = coloured(tmp_path / f"{pix}-plain.mkv", frames, pix, 0, 0)
        clean = Clean("vhs", 0.5)
        found = measure_shift(probe(path))
        assert found == Shift(*by)
        wanted = next(iter(Reader(probe(plain), filters=chain(clean)))).planes
        made = next(iter(Reader(probe(path), filters=moved_back(found) + chain(clean)))).planes
        inner = np.s_[:, 16:-16, 16:-16]
        assert all(np.array_equal(a[inner], b[inner]) for a, b in zip(made, wanted, strict=True))


@pytest.mark.parametrize("run", [1, 3])
def test_places_that_cannot_be_sought_are_passed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: int
) -> None:
    info = probe(coloured(tmp_path / "in.mkv", scene(30), "yuv420p", 0, 0))
    sought = list(samples(info, 12, run))

    def never(_: object) -> bool:
        return False

    monkeypatch.setattr("vsr.media.samples.seekable", never)
    passed = list(samples(info, 12, run))
    assert len(sought) == len(passed) == 12
    for one, other in zip(sought, passed, strict=True):
        assert len(one) == len(other) >= 1
        for a, b in zip(one, other, strict=True):
            assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_it_is_told_in_whole_samples() -> None:
    assert str(Shift(3, 1)) == "3 to the right and 1 down"
    assert str(Shift(-2, 0)) == "2 to the left"
    assert str(Shift(0, -1)) == "1 up"
    assert Shift(2, 2).resampled((1, 0), (1, 1)) == Shift(2, 1)


@pytest.mark.parametrize("name", usually([DULL[0]], [*COLOURED, *DULL]))
def test_natural_clips_have_none_and_known_ones_are_found(media: Path, name: str) -> None:
    info = probe(media / "clips" / name)
    assert measure_shift(info) is None
    taken = [frame for frames in samples(info, 12, 1) for frame in frames]
    for soft, by in ((0.0, (1, 0)), (0.0, (3, 1)), (2.0, (0, 0)), (2.0, (2, 0))):  # tape's is soft
        maps = [
            maps_of((y, *(moved(_soft(plane, soft), *by) for plane in chroma)))
            for y, *chroma in taken[::2]
        ]
        found = shift_of([one for one in maps if one])
        wanted = Shift(*by) if any(by) else None
        assert found == wanted or (found is None and name in DULL), (soft, by)


def _soft(plane: Plane, sigma: float) -> Plane:
    if not sigma:
        return plane
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigmaX=sigma, sigmaY=0.2), np.float32)
