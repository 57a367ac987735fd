"""Files read and written for real: formats, cuts, tags, alpha, pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from tests.conftest import MakeClip, picture
from vsr.color import ColorSpec, to_rgb
from vsr.errors import MediaError
from vsr.geometry import Size
from vsr.media.pixels import Unpacker, layout_of, name_of, nearest_planar, pack
from vsr.media.read.images import FolderReader, probe_folder, read_picture, write_picture
from vsr.media.read.probe import probe
from vsr.media.read.reader import Reader
from vsr.media.read.siting import read_siting
from vsr.media.streams.stream_mapping import map_streams
from vsr.media.write.hdr import Hdr, svtav1_params, x265_params


@pytest.mark.parametrize(
    ("name", "planar"),
    [
        ("nv12", "yuv420p"),
        ("p010le", "yuv420p10le"),
        ("rgb24", "gbrp"),
        ("rgba", "gbrap"),
        ("pal8", "gbrap"),
        ("yuyv422", "yuv422p"),
        ("gray16be", "gray16le"),
        ("rgb48le", "gbrp16le"),
        ("yuv420p10be", "yuv420p10le"),
        ("yuvj444p", "yuvj444p"),
    ],
)
def test_exotic_formats_are_read_in_the_nearest_planar_one(name: str, planar: str) -> None:
    assert nearest_planar(name) == planar
    assert layout_of(planar) is not None


@pytest.mark.parametrize(
    "name",
    ["yuv420p", "yuv444p10le", "yuva420p", "gray", "gray12le", "gbrp", "gbrap16le", "yuv411p"],
)
def test_frames_survive_packing_and_unpacking(name: str) -> None:
    spec = layout_of(name)
    assert spec is not None
    size = Size(37, 22)
    planes = tuple(
        torch.randint(0, 1 << spec.depth, (1, p.height, p.width)).to(spec.dtype)
        for p in spec.plane_sizes(size)
    )
    frame = pack(planes, 0, spec, name_of(spec))
    unpacker = Unpacker(spec, name_of(spec), size)
    back = unpacker.empty(1)
    unpacker.fill(back, 0, frame)
    assert all(torch.equal(a, b) for a, b in zip(planes, back, strict=True))


def read_all(reader: Reader) -> list[int]:
    return [time for clip in reader for time in clip.pts]


def test_clips_never_cross_a_segment_and_lose_nothing(make_clip: MakeClip) -> None:
    info = probe(make_clip(frames=23))
    reader = Reader(info, clip_frames=4, segment_frames=10)
    counts = [len(clip.pts) for clip in reader]
    assert counts == [4, 4, 2, 4, 4, 2, 3]
    assert reader.frames == 23


@pytest.mark.parametrize("options", [{}, {"bf": "3", "g": "250"}, {"bf": "0", "g": "5"}])
def test_reading_after_a_time_gives_exactly_the_rest(
    make_clip: MakeClip, options: dict[str, str]
) -> None:
    info = probe(make_clip(frames=30, options=options))
    times = read_all(Reader(info))
    for after in (times[0], times[12], times[28]):
        assert read_all(Reader(info, after=after)) == [time for time in times if time > after]
    assert read_all(Reader(info, first=times[7], last=times[20])) == times[7:20]


def test_what_is_said_of_colour_shape_and_rotation_is_read(make_clip: MakeClip) -> None:
    path = make_clip(
        "in.mkv", tags=(1, 1, 1, 13), sample_aspect=Fraction(16, 15), rotation=90, sound=True
    )
    info = probe(path)
    color = info.color
    assert (color.matrix, color.range, color.primaries, color.transfer) == (1, 1, 1, 13)
    assert info.sample_aspect == Fraction(16, 15)
    assert info.rotation % 360 == 90
    assert [stream.type for stream in info.streams] == ["video", "audio"]


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "gray12le", "gray16le", "ya8"])
def test_untagged_gray_is_read_as_libswscale_reads_it(make_clip: MakeClip, pix_fmt: str) -> None:
    """It was taken for limited range: black and white of a drawing came out cut off."""
    name, codec = ("in.mov", "png") if pix_fmt == "ya8" else ("in.mkv", "ffv1")
    path = make_clip(name, frames=1, codec=codec, pix_fmt=pix_fmt)
    info = probe(path)
    (clip,) = Reader(info)
    rgb = to_rgb(clip.planes, clip.color)[0, :3].permute(1, 2, 0)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        wanted = frame.to_ndarray(format="rgb48le").astype(np.float32) / 65535
    assert frame.format.name == pix_fmt
    assert np.abs(rgb.numpy() - wanted).max() < 1 / 256


def test_gray_that_is_tagged_as_limited_stays_so(make_clip: MakeClip) -> None:
    path = make_clip("in.mkv", frames=1, codec="ffv1", pix_fmt="gray", tags=(2, 1, 2, 2))
    assert probe(path).color.range == 1


@pytest.mark.parametrize("place", ["left", "center", "topleft"])
def test_the_chroma_location_is_read_from_the_bitstream(make_clip: MakeClip, place: str) -> None:
    path = make_clip(options={"chroma_sample_location": place})
    # "left" is the default, which x264 leaves unsaid
    assert read_siting(path, 0) == {"left": 0, "center": 2, "topleft": 3}[place]


def test_hdr10_is_said_in_each_encoder_s_own_units() -> None:
    hdr = Hdr(
        primaries=(
            (Fraction(68, 100), Fraction(32, 100)),
            (Fraction(265, 1000), Fraction(69, 100)),
            (Fraction(15, 100), Fraction(6, 100)),
        ),
        white=(Fraction(3127, 10000), Fraction(329, 1000)),
        luminance=(Fraction(1, 200), Fraction(1000)),
        max_cll=1100,
        max_fall=180,
    )
    assert (
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
        in x265_params(hdr)
    )
    assert "max-cll=1100,180" in x265_params(hdr)
    assert "content-light=1100,180" in svtav1_params(hdr)


def test_what_a_container_cannot_hold_is_named(samples: Path) -> None:
    info = probe(samples / "harbour.mkv")
    assert [mapping.action for mapping in map_streams(info, "matroska")] == ["keep", "keep"]
    assert [mapping.action for mapping in map_streams(info, "mp4")] == ["keep", "convert"]
    chart = probe(samples / "chart.mp4")  # its AAC is not for webm; its chapter track is no stream
    (mapping,) = map_streams(chart, "webm")
    assert mapping.action == "drop"
    assert "webm cannot hold it" in str(mapping)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
@pytest.mark.parametrize("kind", ["rgb", "gray", "alpha", "deep"])
def test_pictures_of_every_kind_are_read_and_written(
    tmp_path: Path, suffix: str, kind: str
) -> None:
    if (suffix, kind) in {("jpg", "alpha"), ("jpg", "deep"), ("webp", "deep"), ("webp", "gray")}:
        return  # these cannot hold that kind
    pixels = picture(20, 14, 1.0)
    if kind == "gray":
        pixels = pixels[:, :, 0]
    if kind == "alpha":
        pixels = np.dstack([pixels, pixels[:, :, :1]])
    if kind == "deep":
        pixels = pixels.astype(np.uint16) * 257
    path = tmp_path / f"in.{suffix}"
    cv2.imwrite(str(path), pixels)
    planes, spec = read_picture(path)
    assert spec.depth == (16 if kind == "deep" else 8)
    assert spec.alpha == (kind == "alpha")
    assert spec.layout == ("gray" if kind == "gray" else "rgb")
    copy = tmp_path / f"copy.{suffix}"
    write_picture(copy, planes)
    again, _ = read_picture(copy)
    lossy = suffix in ("jpg", "webp")
    for first, second in zip(planes, again, strict=True):
        assert (first.int() - second.int()).abs().max() <= (40 if lossy else 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"copy.{suffix}", f"in.{suffix}"]


def test_the_orientation_that_a_camera_noted_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = np.frombuffer(
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0", np.uint8
    )
    done, data = cv2.imencode(".jpg", picture(40, 16, 0.0))
    assert done
    body = data.tobytes()
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif.tobytes()
    path.write_bytes(body[:2] + segment + body[2:])
    planes, _ = read_picture(path)
    assert planes[0].shape == (1, 40, 16)


def test_a_folder_becomes_clips_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (1, 2, 10, 11, 100):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), np.full((8, 8, 3), number, np.uint8))
    info = probe_folder(tmp_path, Fraction(24))
    clips = list(FolderReader(info, clip_frames=2, segment_frames=3))
    assert [len(clip.pts) for clip in clips] == [2, 1, 2]
    shades = [int(plane[0, 0]) for clip in clips for plane in clip.planes[0]]
    assert shades == [1, 2, 10, 11, 100]
    (rest,) = FolderReader(info, clip_frames=9, segment_frames=9, after=3)
    assert rest.pts == (4,)
    cv2.imwrite(str(tmp_path / "f200.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(MediaError, match=r"f200\.png is 9x9"):
        list(FolderReader(info, clip_frames=2, segment_frames=3))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no file"),
        (b"", "empty"),
        (b"these are no frames" * 50, "not a video"),
        ("folder", "is a folder"),
    ],
)
def test_what_is_no_video_is_said_in_one_sentence(
    tmp_path: Path, content: bytes | str | None, said: str
) -> None:
    path = tmp_path / "x.mp4"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(MediaError, match=said):
        probe(path)


def test_a_damaged_packet_is_counted_and_the_rest_is_read(make_clip: MakeClip) -> None:
    path = make_clip("in.mkv", frames=30, options={"bf": "0", "g": "10", "threads": "1"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60] = bytes(60)
    path.write_bytes(data)
    reader = Reader(probe(path))
    times = read_all(reader)
    assert reader.damaged
    assert len(times) >= 25
    assert times == sorted(set(times))


def frames_of(reader: Reader) -> dict[int, bytes]:
    """Every frame by its time."""
    return {
        time: b"".join(plane[place].numpy().tobytes() for plane in clip.planes)
        for clip in reader
        for place, time in enumerate(clip.pts)
    }


@pytest.mark.parametrize("options", [{"bf": "0"}, {"bf": "8", "b-pyramid": "normal"}])
def test_damage_looks_the_same_wherever_reading_began(
    make_clip: MakeClip, tmp_path: Path, options: dict[str, str]
) -> None:
    """A decoder conceals damage with what it saw before, and in the memory that it may reuse."""
    whole = make_clip("whole.mkv", frames=40, options={"g": "10", "threads": "1", **options})
    path, data, damaged = tmp_path / "in.mkv", whole.read_bytes(), 0
    for at in range(1000, len(data) - 200, len(data) // 12):
        path.write_bytes(data[:at] + bytes(20) + data[at + 20 :])
        reader = Reader(probe(path), clip_frames=4)
        expected = frames_of(reader)
        damaged += bool(reader.damaged)
        for frames, after in enumerate(expected, 1):
            if frames % 4 == 0:
                again = Reader(probe(path), clip_frames=3, segment_frames=4, after=after)
                rest = frames_of(again)
                assert list(rest) == [time for time in expected if time > after], at
                if options["bf"] == "0":  # else FFmpeg shows memory that it never wrote, rarely
                    assert rest == {time: expected[time] for time in rest}, at
    assert damaged, "nothing was damaged: it tells nothing"


def test_a_layout_without_tags_gets_them_from_the_rule() -> None:
    assert ColorSpec().resolved(576).matrix == 6
