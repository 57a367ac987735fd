"""Files and commands that once went wrong: each is a promise kept under odd conditions."""

from __future__ import annotations

import io
import struct
from contextlib import ExitStack
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import AttachmentStream, Disposition
from PIL import Image

import vsr
from tests.conftest import MakeClip, packets_of, picture, times_of
from tests.marks import usually
from vsr.errors import OptionsError
from vsr.events import Event, SegmentDone
from vsr.jobs.video import plan as planning
from vsr.media.read.timestamps import Clock

FAST: dict[str, Any] = {"model": "nearest", "preset": "ultrafast", "device": "cpu"}


def options(**changed: Any) -> vsr.UpscaleOptions:
    return vsr.UpscaleOptions(**{**FAST, **changed})


@pytest.mark.parametrize(
    ("name", "keyframes"),
    usually(
        [("in.ts", "30"), ("in.mkv", "250"), ("in.h264", "250")],
        product(("in.ts", "in.mkv", "in.flv", "in.h264"), ("250", "30")),
    ),
)
def test_an_interrupted_run_loses_no_frame_in_any_container(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, keyframes: str
) -> None:
    base = Fraction(1, 90000) if name == "in.ts" else Fraction(1, 1000)
    source = make_clip(
        name, frames=70, time_base=base, step=int(Fraction(1, 25) / base), options={"g": keyframes}
    )
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(16, 25))

    def interrupt(event: Event) -> None:
        if isinstance(event, SegmentDone) and event.index == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vsr.upscale(source, tmp_path / "out.mkv", options(), interrupt)
    resumed: list[bool] = []

    def note(event: Event) -> None:
        if isinstance(event, SegmentDone):
            resumed.append(event.resumed)

    report = vsr.upscale(source, tmp_path / "out.mkv", options(), note)
    assert report.frames == 70
    assert resumed[0]
    calm = vsr.upscale(source, tmp_path / "calm.mkv", options())
    assert calm.frames == 70
    assert times_of(tmp_path / "out.mkv") == times_of(tmp_path / "calm.mkv")


@pytest.mark.parametrize("name", ["in.ts", "in.mp4"])
@pytest.mark.parametrize("start", [0.5, 0.333, 1.03])
def test_a_stretch_begins_where_it_was_asked_to(
    make_clip: MakeClip, tmp_path: Path, name: str, start: float
) -> None:
    base = Fraction(1, 90000) if name == "in.ts" else Fraction(1, 12800)
    source = make_clip(name, frames=70, time_base=base, step=int(Fraction(1, 25) / base))
    zero = times_of(source)[0]
    inside = [t for t in times_of(source) if t - zero >= Fraction(start).limit_denominator(10**6)]
    report = vsr.upscale(source, tmp_path / "out.mp4", options(start=start))
    made = times_of(tmp_path / "out.mp4")
    assert report.frames == len(made) == len(inside)
    assert {a - b for a, b in zip(inside, made, strict=True)} == {inside[0] - made[0]}


def test_a_folder_that_holds_the_source_or_other_things_is_never_replaced(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    source = make_clip("in.mp4", frames=2)
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("precious")
    for target in (tmp_path, other, tmp_path / "other" / ".."):
        with pytest.raises(OptionsError):
            vsr.upscale(source, target, options(overwrite=True))
    assert source.exists()
    assert (other / "letter.txt").read_text() == "precious"
    film = tmp_path / "film.mp4"
    film.mkdir()
    with pytest.raises(OptionsError, match="is a folder"):
        vsr.upscale(source, film, options())


def test_lines_at_the_same_moment_stay_there(make_clip: MakeClip, tmp_path: Path) -> None:
    texts = [(f"line {line}", 100 + 400 * (line // 3), 300) for line in range(6)]
    full = with_text(make_clip("bare.mkv", frames=30), texts)

    def lines(path: Path) -> list[tuple[Fraction, bytes]]:
        with av.open(str(path)) as container:
            return sorted(
                ((p.pts or 0) * p.time_base, bytes(p))
                for p in container.demux(subtitles=0)
                if p.size > 2
            )

    vsr.upscale(full, tmp_path / "out.mkv", options())
    assert lines(tmp_path / "out.mkv") == lines(full)
    vsr.upscale(full, tmp_path / "out.mp4", options())
    first, second = lines(tmp_path / "out.mp4")  # tx3g shows one text at a time: merged
    assert (first[0], second[0]) == (Fraction(1, 10), Fraction(1, 2))
    assert first[1][2:] == b"line 0\nline 1\nline 2"


@pytest.mark.parametrize(("first", "second"), [("mkv", "mkv"), ("mkv", "mp4"), ("mp4", "mp4")])
def test_a_line_on_the_screen_at_a_cut_is_in_the_stretch_for_its_part(
    make_clip: MakeClip, tmp_path: Path, first: str, second: str
) -> None:
    lines = [("over", 0, 200), ("begins before", 200, 600), ("ends after", 800, 900)]
    source = with_text(make_clip("bare.mkv", frames=50), lines)
    if first == "mp4":
        vsr.upscale(source, tmp_path / "first.mp4", options())
        source = tmp_path / "first.mp4"
    target = tmp_path / f"out.{second}"
    vsr.upscale(source, target, options(start=0.4, end=1.2))
    shown = [line for line in shown_text(target) if len(line[2]) > 2]
    assert [(begin, length) for begin, length, _ in shown] == [(0, 400), (400, 400)]
    assert [line[2][-13:] for line in shown] == [b"begins before", shown[1][2]]


@pytest.mark.parametrize("devices", [None, "cpu:2"])
def test_tags_that_change_in_the_middle_are_told_once(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: str | None
) -> None:
    """They went unnoticed: the frames behind were converted by the first one's matrix."""
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(8, 25))
    parts = [  # transport streams repeat their parameter sets, and Matroska has an index
        make_clip("0.ts", tags=(5, 1, 2, 2), sample_aspect=Fraction(1), options={"bf": "0"}),
        make_clip("1.ts", tags=(1, 1, 1, 2), sample_aspect=Fraction(4, 3), options={"bf": "0"}),
    ]
    source, unsought = tmp_path / "in.mkv", tmp_path / "in.ts"
    for path in (source, unsought):
        _joined(parts, path)
    chosen = options() if devices is None else options(devices=devices, device="auto")
    report = vsr.upscale(source, tmp_path / "out.mkv", chosen)
    assert report.frames == 24
    (told,) = [line for line in report.warnings if "tags change" in line]
    assert "matrix 5 to 1" in told
    assert "sample aspect 1 to 4/3" in told
    for path in (source, unsought):
        late = vsr.upscale(path, tmp_path / "late.mkv", options(start=0.6, overwrite=True))
        (told,) = [line for line in late.warnings if "tags change" in line]
        assert "tags change at 0.600 s (matrix 5 to 1" in told


def _joined(parts: list[Path], path: Path) -> None:
    """The packets of several videos, one every 40 ms."""
    with ExitStack() as files:
        opened = [files.enter_context(av.open(str(part))) for part in parts]
        container = files.enter_context(av.open(str(path), "w"))
        video = container.add_stream_from_template(opened[0].streams.video[0])
        packets = [packet for part in opened for packet in part.demux(video=0) if packet.size]
        for place, packet in enumerate(packets):
            packet.pts = packet.dts = 40 * place
            packet.time_base, packet.stream = Fraction(1, 1000), video
            container.mux(packet)


def with_text(source: Path, lines: list[tuple[str, int, int]]) -> Path:
    """The same video with SubRip lines: text, beginning and length in milliseconds."""
    path = source.with_name("text.mkv")
    with av.open(str(source)) as bare, av.open(str(path), "w") as container:
        video = container.add_stream_from_template(bare.streams.video[0])
        text = container.add_mux_stream("subrip")
        text.time_base = Fraction(1, 1000)
        for packet in bare.demux(video=0):
            if packet.size:
                packet.stream = video
                container.mux(packet)
        for line, begin, length in lines:
            packet = av.Packet(line.encode())
            packet.pts = packet.dts = begin
            packet.duration, packet.time_base, packet.stream = length, Fraction(1, 1000), text
            container.mux(packet)
    return path


def shown_text(path: Path) -> list[tuple[int, int, bytes]]:
    """Each line's beginning and length in milliseconds, and its payload."""
    with av.open(str(path)) as container:
        return [
            (
                round((packet.pts or 0) * packet.time_base * 1000),
                round((packet.duration or 0) * packet.time_base * 1000),
                bytes(packet),
            )
            for packet in container.demux(subtitles=0)
            if packet.size > 2
        ]


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_what_subrip_says_of_places_is_not_shown_and_webvtt_is_escaped(
    make_clip: MakeClip, tmp_path: Path, suffix: str
) -> None:
    said = [("{\\an8}<i>On top</i>", 0, 300), ("I <3 you & me {really}", 400, 300)]
    source, target = with_text(make_clip("bare.mkv", frames=30), said), tmp_path / f"out.{suffix}"
    codec = {"codec": "av1", "preset": "12"} if suffix == "webm" else {}
    vsr.upscale(source, target, options(**codec))
    if suffix == "webm":
        wanted = [b"On top", b"I &lt;3 you &amp; me {really}"]
    else:
        wanted = [struct.pack(">H", len(t)) + t for t in (b"On top", b"I <3 you & me {really}")]
    assert [payload for _, _, payload in shown_text(target)] == wanted
    back = tmp_path / "back.mkv"
    vsr.upscale(target, back, options(height=48))
    if suffix == "mp4":
        texts = [payload for _, _, payload in shown_text(back)]
        assert texts == [b"On top", b"I <3 you & me {really}"]


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_lines_that_cross_a_cut_are_shown_within_it(
    make_clip: MakeClip, tmp_path: Path, suffix: str
) -> None:
    """One on the screen at the start had vanished, and one at the end kept its whole length."""
    said = [("early", 0, 300), ("crosses", 200, 400), ("within", 700, 100), ("ends", 900, 900)]
    source = with_text(make_clip("bare.mkv", frames=60), [*said, ("late", 1900, 100)])
    target = tmp_path / f"out.{suffix}"
    vsr.upscale(source, target, options(start=0.4, end=1.2))
    payloads = [struct.pack(">H", len(t)) + t for t in (b"crosses", b"within", b"ends")]
    times = [(0, 200), (300, 100), (500, 300)]
    assert shown_text(target) == [(*t, p) for t, p in zip(times, payloads, strict=True)]


def test_prores_keeps_the_times_of_a_variable_rate_over_many_segments(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(6, 25))
    pts = [place * 3003 + (place % 4) * 311 for place in range(21)]
    source = make_clip(
        "in.mkv", pts=[0] + [time // 90 for time in pts[1:]], time_base=Fraction(1, 1000)
    )
    for suffix in ("mov", "mkv"):
        target = tmp_path / f"out.{suffix}"
        vsr.upscale(source, target, options(codec="prores", preset=None))
        assert times_of(target) == times_of(source)


@pytest.mark.parametrize("codec", ["libvpx-vp9", "mpeg2video", "ffv1"])
def test_limited_range_that_is_said_alone_passes_verification(
    make_clip: MakeClip, tmp_path: Path, codec: str
) -> None:
    source = make_clip(
        "in.mkv", frames=3, codec=codec, tags=(2, 1, 2, 2), time_base=Fraction(1, 25), step=1
    )
    for chosen in ("h264", "hevc", "ffv1"):
        preset = None if chosen == "ffv1" else "ultrafast"
        vsr.upscale(
            source, tmp_path / f"{chosen}.mp4", options(codec=chosen, preset=preset, height=48)
        )


@pytest.mark.parametrize("name", ["Film: the second.mp4", "-dash %d.mp4", "line\nbreak é.mp4"])
def test_any_name_that_a_disk_takes_is_taken(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make_clip(name, frames=2)
    monkeypatch.chdir(tmp_path)
    report = vsr.upscale(name, f"out {name}", options())
    assert report.frames == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"out {name}"])


def test_a_link_that_leads_nowhere_is_no_frame(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    cv2.imwrite(str(frames / "1.png"), np.zeros((24, 32, 3), np.uint8))
    for name in ("latest", "2.png"):
        (frames / name).symlink_to("gone")
    assert vsr.upscale(frames, tmp_path / "out.mp4", options()).frames == 1


def test_cover_art_is_kept_or_named(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip("bare.mp4", frames=3, sound=True)
    covered = tmp_path / "in.mp4"
    done, data = cv2.imencode(".png", picture(16, 16, 0))
    assert done
    cover = tmp_path / "cover.png"
    cover.write_bytes(data.tobytes())
    with (
        av.open(str(source)) as bare,
        av.open(str(cover)) as art,
        av.open(str(covered), "w") as container,
    ):
        streams = {s.index: container.add_stream_from_template(s) for s in bare.streams}
        front = container.add_stream_from_template(art.streams.video[0], opaque=True)
        front.disposition = Disposition.attached_pic
        for packet in bare.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                container.mux(packet)
        for packet in art.demux():
            if packet.size:
                packet.stream = front
                container.mux(packet)
    same = vsr.upscale(covered, tmp_path / "same.mp4", options())
    assert any("png" in line for line in same.kept)
    vsr.upscale(covered, tmp_path / "other.mkv", options())
    with av.open(str(tmp_path / "other.mkv")) as made:
        art_streams = [s for s in made.streams if s.disposition & Disposition.attached_pic]
        assert len(art_streams) == 1
    lost = vsr.upscale(covered, tmp_path / "lost.mov", options())
    assert any("png" in line for line in lost.dropped)
    assert packets_of(tmp_path / "lost.mov", "audio") == packets_of(source, "audio")


def test_pictures_attached_to_matroska_keep_their_names(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    """A GIF was dropped as what Matroska cannot hold, and all others became cover.jpg."""
    kinds = {"gif": "GIF", "tiff": "TIFF", "bmp": "BMP", "webp": "WEBP", "png": "PNG"}
    files = {f"a {suffix}.{suffix}": (f"image/{suffix}", kinds[suffix]) for suffix in kinds}
    files |= dict.fromkeys(("cover.jpg", "small_cover.jpg"), ("image/jpeg", "JPEG"))
    source, covered = make_clip("bare.mkv", frames=3), tmp_path / "in.mkv"
    with av.open(str(source)) as bare, av.open(str(covered), "w") as container:
        video = container.add_stream_from_template(bare.streams.video[0])
        for name, (mime, kind) in files.items():
            data = io.BytesIO()
            Image.fromarray(picture(16, 16, len(name))).save(data, kind)
            container.add_attachment(name, mime, data.getvalue())
        for packet in bare.demux(video=0):
            if packet.size:
                packet.stream = video
                container.mux(packet)

    def attached(path: Path) -> dict[str, tuple[str, bytes]]:
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux() if packet.size]
            pictures = {packet.stream_index: bytes(packet) for packet in packets}
            return {
                stream.metadata["filename"]: (
                    stream.metadata["mimetype"],
                    bytes(stream.data or b"")
                    if isinstance(stream, AttachmentStream)
                    else pictures[stream.index],
                )
                for stream in container.streams
                if "filename" in stream.metadata
            }

    report = vsr.upscale(covered, tmp_path / "out.mkv", options())
    assert report.dropped == ()
    assert attached(tmp_path / "out.mkv") == attached(covered)
    assert len(attached(covered)) == len(files)


def test_one_repeated_time_moves_one_frame_alone() -> None:
    clock: Clock[int] = Clock(40)
    claimed = [0, 33, 67, 67, 100, 133, 167]
    made = [time for _, time in clock.order(enumerate(claimed))]
    assert made == [0, 33, 67, 83, 100, 133, 167]
    assert clock.repaired == 1


def test_frames_of_a_stretch_are_those_of_the_stretch(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip(frames=50)
    report = vsr.upscale(source, tmp_path / "frames", options(start=0.4, end=0.8, height=48))
    assert report.frames == 10
    with pytest.raises(OptionsError, match="--start"):
        vsr.upscale(tmp_path / "frames", tmp_path / "out.mp4", options(start=0.1))


def test_a_picture_that_loses_something_says_so(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    cv2.imwrite(str(source), np.full((8, 8, 4), 30000, np.uint16))
    report = vsr.upscale(source, tmp_path / "out.jpg", options())
    assert any("transparency" in line for line in report.dropped)
    assert any("16-bit" in line for line in report.dropped)
