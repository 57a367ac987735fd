"""Law 10 in whole files: a segment is made of its own frames and of those that lead it in."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import vsr
from tests.infer.test_recurrent import network
from tests.jobs.test_run import debris, options
from tests.marks import usually
from vsr import weights
from vsr.errors import Stopped
from vsr.events import Event, SegmentDone
from vsr.jobs.video import plan as planning
from vsr.media.read.images import write_picture
from vsr.media.read.rgb import read_rgb

FRAMES = 41


@pytest.fixture
def model(tmp_path: Path) -> str:
    upscaler = network()
    path = tmp_path / "memory.safetensors"
    hparams = {"scale": 4, "features": 16, "layers": 4}
    weights.save(path, upscaler.module, arch="recurrent", hparams=hparams)
    return str(path)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture that moves, holds, and is cut, with an open group of pictures now and then."""
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(4, 25))  # eight frames in all
    monkeypatch.setattr(planning, "LEAD_FRAMES", 5)
    path = tmp_path / "in.mp4"
    dice = np.random.default_rng(3)
    wide = dice.integers(0, 256, (2, 40, 90, 3), dtype=np.uint8).repeat(3, 1).repeat(3, 2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12", "bf": "2"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for index in range(FRAMES):
            at = 2 * (index if index not in (18, 19) else 17)
            shown = wide[int(index >= 27), at : at + 72, 2 * at % 100 : 2 * at % 100 + 96]
            shown = shown if shown.shape[0] == 72 else wide[0, :72, :96]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def made(source: Path, target: Path, model: str, **more: str) -> bytes:
    vsr.upscale(source, target, options(model=model, **more))
    return target.read_bytes()


@pytest.mark.parametrize("stops", usually([[1, 4]], [[1, 4], [2, 3]]))
def test_stopped_anywhere_and_gone_on_with_it_is_the_same(
    source: Path, model: str, tmp_path: Path, stops: list[int]
) -> None:
    calm = made(source, tmp_path / "calm.mp4", model)
    for stop in stops:
        target = tmp_path / f"{stop}.mp4"
        events: list[Event] = []
        count = 0

        def enough(most: int = stop) -> bool:
            nonlocal count
            count += 1
            return count >= most

        with pytest.raises(Stopped):
            vsr.upscale(source, target, options(model=model), should_stop=enough)
        vsr.upscale(source, target, options(model=model), events.append)
        assert sum(isinstance(event, SegmentDone) and event.resumed for event in events) == stop
        assert target.read_bytes() == calm
    assert not debris(tmp_path)


def test_a_segment_that_is_missing_in_the_middle_is_made_the_same(
    source: Path, model: str, tmp_path: Path
) -> None:
    calm = made(source, tmp_path / "calm.mp4", model)
    target = tmp_path / "out.mp4"
    count = 0

    def enough() -> bool:
        nonlocal count
        count += 1
        return count >= 4

    with pytest.raises(Stopped):
        vsr.upscale(source, target, options(model=model), should_stop=enough)
    (tmp_path / ".out.mp4.vsr" / "000001.nut").unlink()
    assert made(source, target, model) == calm


def test_two_workers_make_the_same(source: Path, model: str, tmp_path: Path) -> None:
    calm = made(source, tmp_path / "calm.mp4", model)
    two = made(source, tmp_path / "two.mp4", model, device="auto", devices="cpu:2")
    assert two == calm


def test_tiles_and_a_folder_of_its_frames_make_the_same(
    source: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    with av.open(str(source)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            planes = frame.to_ndarray(format="gbrp").transpose(2, 0, 1)[[2, 0, 1]]
            import torch

            write_picture(
                folder / f"{index:03d}.png",
                tuple(torch.from_numpy(plane.copy())[None] for plane in planes),
            )
    whole = made(folder, tmp_path / "whole.mp4", model, fps="25")
    monkeypatch.setattr(planning, "CLIP_PIXELS", {"cpu": 3 * 96 * 72})
    tiled = tmp_path / "tiled.mp4"
    vsr.upscale(folder, tiled, options(model=model, fps="25", tile=64))
    assert tiled.read_bytes() == whole


def test_the_lead_in_counts(
    source: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = made(source, tmp_path / "calm.mp4", model)
    monkeypatch.setattr(planning, "LEAD_FRAMES", 1)
    assert made(source, tmp_path / "other.mp4", model) != calm


def test_the_first_frame_has_seen_the_four_behind_it(
    source: Path, model: str, tmp_path: Path
) -> None:
    films: list[np.ndarray] = []
    pictures: list[np.ndarray] = []
    for frames in (FRAMES, 5, 1):
        film, folder = tmp_path / f"{frames}.mkv", tmp_path / str(frames)
        asked = options(model=model, codec="ffv1", preset=None, end=(frames - 0.5) / 25)
        vsr.upscale(source, film, asked)
        with av.open(str(film)) as container:
            shown = [frame.to_ndarray() for frame in container.decode(video=0)]
        assert len(shown) == frames
        films.append(shown[0])
        vsr.upscale(source, folder, replace(asked, codec="auto"))
        assert len(list(folder.iterdir())) == frames
        pictures.append(read_rgb(folder / "000001.png"))
    for whole, five, one in (films, pictures):
        assert np.array_equal(whole, five)
        assert not np.array_equal(whole, one)
