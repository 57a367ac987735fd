"""Metadata that is odd, unknown to PyAV, or no use: a named loss, and all frames are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.sidedata.sidedata import Type

import vsr
from tests import fork_server
from tests.conftest import MakeClip, times_of
from tests.media.odd_files import enhanced, multiview, profiled
from vsr import api
from vsr.errors import VerificationFailed
from vsr.geometry import Size
from vsr.media import side_data
from vsr.media.extract.extraction import extract
from vsr.media.extract.selection import ExtractOptions
from vsr.media.read.probe import probe
from vsr.media.side_data import read_side_data
from vsr.media.streams.packets import Cut
from vsr.media.write.codecs import CODECS
from vsr.media.write.encoding import choose
from vsr.media.write.hdr import read_hdr
from vsr.media.write.verify import check_chapters
from vsr.media.write.writer import Segment, SegmentWriter

FAST = vsr.UpscaleOptions(model="nearest", preset="ultrafast", device="cpu", codec="h264")


@pytest.mark.parametrize(
    ("make", "suffix", "lost"),
    [
        (multiview, "mp4", "MV-HEVC"),
        (multiview, "mkv", "MV-HEVC"),
        (enhanced, "mp4", "LCEVC"),
        (enhanced, "mkv", "LCEVC"),
        (profiled, "mov", "ICC profile"),
    ],
)
def test_side_data_that_pyav_stumbles_over_is_a_named_loss(
    tmp_path: Path, make: Callable[[Path], Path], suffix: str, lost: str
) -> None:
    source = make(tmp_path / f"in.{suffix}")
    info = vsr.probe(source)
    assert [text for text in info.lost if lost in text]
    assert all(
        lost in " ".join(row) for key, row in api.mapping_by_target(info).items() if "drop" in key
    )
    report = vsr.upscale(source, tmp_path / "out.mkv", FAST)
    assert [text for text in report.dropped if lost in text]
    assert times_of(tmp_path / "out.mkv") == times_of(source)
    found = extract(ExtractOptions((source,), tmp_path / "frames"))
    assert found.frames


def test_a_profile_in_png_frames_does_not_end_the_process(tmp_path: Path) -> None:
    source = profiled(tmp_path / "in.mov")
    done = fork_server.vsr("probe", source)
    assert done.returncode == 0, done.stderr


def test_what_is_known_is_read_beside_what_is_not(tmp_path: Path) -> None:
    plain = enhanced(tmp_path / "plain.mp4")
    turned = tmp_path / "turned.mp4"
    with av.open(str(plain)) as source, av.open(str(turned), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(90)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    info = vsr.probe(turned)
    assert (info.rotation, info.lost) == (90, ("LCEVC enhancement data",))
    assert info.display_matrix is not None
    vsr.upscale(turned, tmp_path / "out.mp4", FAST)
    assert vsr.probe(tmp_path / "out.mp4").rotation == 90


def test_side_data_that_cannot_be_read_at_all_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_data, "MAX_KINDS", 0)  # so that the unknown kind is not found
    with av.open(str(enhanced(tmp_path / "in.mp4"))) as source:
        found = read_side_data(next(source.decode(video=0)))
    assert found.known == {}
    assert found.lost == ("all side data of its frames",)


def test_a_matrix_whose_shift_cannot_be_enlarged_keeps_its_turn(tmp_path: Path) -> None:
    """16.16 holds 32767 pixels, and four times a shift may be more."""
    source = _with_matrix(tmp_path / "in.mp4", (0, 65536, 0, -65536, 0, 0, 1 << 30, 7, 1 << 30))
    report = vsr.upscale(source, tmp_path / "out.mp4", FAST)
    assert "shift of the display matrix" in " ".join(report.dropped)
    assert vsr.probe(tmp_path / "out.mp4").rotation == vsr.probe(source).rotation != 0


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_matrix_that_turns_nothing_is_a_named_loss(tmp_path: Path, suffix: str) -> None:
    source = _with_matrix(tmp_path / "in.mp4", (0,) * 9)
    report = vsr.upscale(source, tmp_path / f"out.{suffix}", FAST)
    assert report.dropped == ("display matrix that makes no sense",)
    assert vsr.probe(tmp_path / f"out.{suffix}").rotation == 0


def test_light_that_no_display_gives_is_a_named_loss() -> None:
    def rationals(*values: int) -> bytes:
        return b"".join(v.to_bytes(4, "little", signed=True) + b"\1\0\0\0" for v in values)

    sensible = rationals(1, 0, 0, 1, 0, 0, 0, 0, 0, 1000) + b"\1\0\0\0" * 2
    for data in (
        rationals(5, 0, 0, 1, 0, 0, 0, 0, 0, 1000) + b"\1\0\0\0" * 2,
        rationals(1, 0, 0, 1, 0, 0, 0, 0, 1000, 1) + b"\1\0\0\0" * 2,
        rationals(1, 0, 0, 1, 0, 0, 0, 0, 0, (1 << 31) - 1) + b"\1\0\0\0" * 2,
    ):
        found, lost = read_hdr({Type.MASTERING_DISPLAY_METADATA: data})
        assert found is None
        assert "makes no sense" in lost[0]
    found, lost = read_hdr({Type.MASTERING_DISPLAY_METADATA: sensible})
    assert found is not None
    assert (found.luminance, lost) == ((Fraction(0), Fraction(1000)), ())
    light = (70000).to_bytes(4, "little") * 2
    found, lost = read_hdr(
        {Type.MASTERING_DISPLAY_METADATA: sensible, Type.CONTENT_LIGHT_LEVEL: light}
    )
    assert found is not None
    assert (found.max_cll, len(lost)) == (None, 1)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_chapters_before_the_beginning_are_a_named_loss(
    make_clip: MakeClip, tmp_path: Path, suffix: str
) -> None:
    """Matroska's muxer refuses times below zero: the job was computed, and could not be joined."""
    source = _with_chapters(make_clip("plain.mkv", step=512), [(0, 40_000_000), (-5, -1)])
    assert [chapter["start"] for chapter in _chapters(source)] == [0, -5]
    report = vsr.upscale(source, tmp_path / f"out.{suffix}", FAST)
    assert report.dropped == ("1 chapters that end before the beginning",)
    assert [chapter["start"] for chapter in _chapters(tmp_path / f"out.{suffix}")] == [0]


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_hdr10_is_kept_or_named(make_clip: MakeClip, tmp_path: Path, codec: str) -> None:
    """FFV1, ProRes and H.264 had come out without it, and without a word."""
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    said = f"log-level=none:hdr10=1:repeat-headers=1:master-display={display}:max-cll=1000,400"
    kind = {"codec": "libx265", "pix_fmt": "yuv420p10le", "tags": (9, 1, 9, 16)}
    source = make_clip("in.nut", frames=1, options={"x265-params": said}, **kind)
    info, target = probe(source), tmp_path / ("out.mov" if codec == "prores" else "out.mkv")
    assert info.hdr is not None
    notes = choose(info, target, Size(256, 192), replace(FAST, codec=codec, preset=None)).notes
    named = any("HDR10 mastering display and light levels" in note for note in notes)
    assert named == (codec not in ("hevc", "av1"))
    if codec in ("hevc", "av1", "ffv1"):
        vsr.upscale(source, target, replace(FAST, codec=codec, preset=None))
        assert (probe(target).hdr is None) == named


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("titles", [("A", "", "C"), ("", "", ""), ("", "B", "C")])
def test_chapters_without_a_title_keep_their_times(
    make_clip: MakeClip, tmp_path: Path, suffix: str, titles: tuple[str, ...]
) -> None:
    """Where some had a title and some had none, MP4 had the last twice and one not at all."""
    source = _titled(make_clip("plain.mkv", frames=38), [0, 333, 700], titles)
    target = tmp_path / f"out.{suffix}"
    vsr.upscale(source, target, FAST)
    with av.open(str(target)) as container:
        chapters = container.chapters()
    begins = [round(chapter["start"] * (chapter["time_base"] or 1) * 1000) for chapter in chapters]
    assert begins == [0, 333, 700]
    made = [chapter["metadata"].get("title", "") for chapter in chapters]
    numbered = [title or f"Chapter {place}" for place, title in enumerate(titles, start=1)]
    assert made == (list(titles) if suffix == "mkv" else numbered)


def test_chapters_longer_than_an_exact_clock_of_mp4_can_count_stay_apart(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    """At 90,000 ticks a second 32 bits end after 6.6 hours, at 4,410,000, which divides the times
    of sound at 44.1 kHz, too, after 8 minutes: the first chapter had the last one's title."""
    clip = make_clip("plain.mp4", time_base=Fraction(1, 90000), step=3600)
    source = _titled(clip, [0, 30_000_000, 60_000_000], ("A", "B", "C"))
    target = tmp_path / "out.mp4"
    vsr.upscale(source, target, FAST)
    with av.open(str(target)) as container:
        chapters = container.chapters()
    begins = [round(chapter["start"] * (chapter["time_base"] or 1)) for chapter in chapters]
    assert begins == [0, 30_000, 60_000]
    assert [chapter["metadata"]["title"] for chapter in chapters] == ["A", "B", "C"]


def test_chapters_that_begin_together_or_in_disorder_pass_verification(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    source = _titled(make_clip("plain.mov", frames=38), [0, 700, 333, 333], ("A", "C", "B", "D"))
    for suffix in ("mkv", "mp4"):
        vsr.upscale(source, tmp_path / f"out.{suffix}", FAST)


def test_a_target_with_other_chapters_does_not_pass(make_clip: MakeClip, tmp_path: Path) -> None:
    source = _titled(make_clip("plain.mkv", frames=38), [0, 333, 700], ("A", "B", "C"))
    vsr.upscale(source, tmp_path / "out.mkv", FAST)
    moved = _titled(tmp_path / "out.mkv", [0, 333, 710], ("A", "B", "C"))
    fewer = _titled(tmp_path / "out.mkv", [0, 333], ("A", "B"))
    info, chosen = probe(source), choose(probe(source), moved, Size(256, 192), FAST)
    check_chapters(tmp_path / "out.mkv", info, chosen, Cut())
    with pytest.raises(VerificationFailed, match=r"has no chapter at 0\.700 s"):
        check_chapters(moved, info, chosen, Cut())
    with pytest.raises(VerificationFailed, match=r"has no chapter at 0\.700 s"):
        check_chapters(fewer, info, chosen, Cut())
    with pytest.raises(VerificationFailed, match=r"has a chapter at 0\.700 s"):
        check_chapters(tmp_path / "out.mkv", probe(fewer), chosen, Cut())


def _titled(source: Path, begins: list[int], titles: tuple[str, ...]) -> Path:
    """The same video with chapters that begin at so many milliseconds."""
    path = source.with_name(f"titled{len(begins)}{begins[-1]}{source.suffix}")
    with av.open(str(source)) as read, av.open(str(path), "w") as made:
        video = made.add_stream_from_template(read.streams.video[0])
        made.set_chapters(
            [
                {
                    "id": place + 1,
                    "start": begin,
                    "end": max([1520, *begins]) if place + 1 == len(begins) else begins[place + 1],
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": titles[place]} if titles[place] else {},
                }
                for place, begin in enumerate(begins)
            ]
        )
        for packet in read.demux(read.streams.video[0]):
            if packet.size:
                packet.stream = video
                made.mux_one(packet)
    return path


def _chapters(path: Path) -> list[dict[str, int]]:
    with av.open(str(path)) as container:
        return [dict(chapter) for chapter in container.chapters()]  # pyright: ignore


def _with_matrix(path: Path, matrix: tuple[int, ...]) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_matrix(matrix)
        for place in range(3):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = place, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def _with_chapters(source: Path, times: list[tuple[int, int]]) -> Path:
    """A Matroska file with chapters (ns) put in byte by byte: FFmpeg would refuse to write some."""

    def element(name: str, data: bytes) -> bytes:
        return bytes.fromhex(name) + b"\x01" + len(data).to_bytes(7, "big") + data

    atoms = [
        element("73c4", bytes([number]))
        + element("91", start.to_bytes(8, "big", signed=True))
        + element("92", end.to_bytes(8, "big", signed=True))
        for number, (start, end) in enumerate(times, start=1)
    ]
    edition = element("45b9", b"".join(element("b6", atom) for atom in atoms))
    data = source.read_bytes()
    # Before the first cluster, where a demuxer comes by whatever the index says.
    cluster = data.index(bytes.fromhex("1f43b675"), 200)
    while data[cluster + 4] & 0xF0 == 0:  # it is named in the index, too
        cluster = data.index(bytes.fromhex("1f43b675"), cluster + 4)
    segment = data.index(bytes.fromhex("18538067"))
    size_bytes = 9 - data[segment + 4].bit_length()
    made = data[:cluster] + element("1043a770", edition) + data[cluster:]
    inside = segment + 4 + size_bytes
    size = (1 << 7 * size_bytes | len(made) - inside).to_bytes(size_bytes, "big")
    path = source.with_name("in.mkv")
    path.write_bytes(made[: segment + 4] + size + made[inside:])
    return path


def test_decoding_times_that_an_encoder_makes_up_are_not_believed(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """x265 gives one or two frames what its memory held: one in some hundred was refused."""

    class Made:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def encode(self, frame: Any) -> Any:
            packets = self.stream.encode(frame)
            for packet in packets:
                packet.dts = 1 << 40
            return packets

    finish = SegmentWriter.finish

    def finished(writer: SegmentWriter) -> Segment:
        monkeypatch.setattr(writer, "_stream", Made(writer._stream))  # pyright: ignore[reportPrivateUsage]
        return finish(writer)

    monkeypatch.setattr(SegmentWriter, "finish", finished)
    target = tmp_path / "out.mkv"
    vsr.upscale(make_clip(frames=1), target, replace(FAST, codec="hevc", preset=None))
    assert times_of(target) == [0]
