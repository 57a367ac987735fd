"""Files from strangers: what they claim costs nothing until it was checked, and no code runs."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import tempfile
import time
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]  # no stubs

import vsr
from tests import fork_server
from tests.conftest import MakeClip, times_of
from vsr.errors import MediaError, WeightsError
from vsr.geometry import Size
from vsr.media import limits
from vsr.media.read.picture_header import claimed_size

FITTING = {"features": 8, "layers": 1}


def written(
    path: Path,
    hparams: str,
    *,
    arch: str = "compact",
    changed: dict[str, torch.Tensor] | None = None,
) -> Path:
    """Weights of a small network whose metadata claim ``hparams``."""
    from vsr.models.catalog import ARCHS

    state = ARCHS["compact"].module(FITTING).state_dict()
    save_file(
        {**state, **(changed or {})}, path, {"format": "vsr-1", "arch": arch, "hparams": hparams}
    )
    return path


CLAIMS = {
    "absurd sizes": '{"features": 4096, "layers": 4096}',
    "an absurd scale": '{"features": 8, "layers": 1, "scale": 4096}',
    "lists in lists": "[" * 100_000,
    "a long number": '{"features": ' + "9" * 9000 + "}",
    "text": '{"features": "many"}',
    "a fraction": '{"features": 8.5}',
    "a truth": '{"features": true}',
    "no number": '{"features": NaN}',
    "nothing": '{"features": 0}',
    "null": '{"features": null}',
    "a name of Python's": '{"__class__": 1}',
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_weights_that_claim_the_impossible_are_refused(claim: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        vsr.load(str(written(tmp_path / "w.safetensors", CLAIMS[claim])))


def test_weights_cost_no_memory_before_they_fit(tmp_path: Path) -> None:
    """4096 layers of 4096 features would be 2.5 TB."""
    path = written(tmp_path / "w.safetensors", CLAIMS["absurd sizes"])
    program = (
        "import resource, sys, vsr, vsr.api\n"
        "from vsr.errors import WeightsError\n"
        "vsr.load('bicubic')\n"
        "import os\n"
        "had = int(open('/proc/self/statm').read().split()[0]) * os.sysconf('SC_PAGE_SIZE')\n"
        "resource.setrlimit(resource.RLIMIT_AS, (had + (1 << 28),) * 2)\n"
        "try:\n    vsr.load(sys.argv[1])\nexcept WeightsError as error:\n    print(error.message)\n"
    )
    run = fork_server.run([sys.executable, "-c", program, str(path)])
    assert "does not fit compact" in run.stdout, run.stderr


def test_a_claimed_depth_costs_no_time(tmp_path: Path) -> None:
    wide = {"body.0.bias": torch.zeros(4096)}
    claim = '{"blocks": 4096, "features": 4096, "growth": 4096}'
    begun = time.process_time()  # other processes may be busy
    with pytest.raises(WeightsError, match="tensors"):
        vsr.load(str(written(tmp_path / "w.safetensors", claim, arch="rrdb", changed=wide)))
    assert time.process_time() - begun < 5


def test_weights_of_other_kinds_of_numbers_and_of_no_network_are_refused(tmp_path: Path) -> None:
    fitting = json.dumps(FITTING)
    wrong = {"body.0.bias": torch.ones(8, dtype=torch.complex64)}
    with pytest.raises(WeightsError, match="no weights"):
        vsr.load(str(written(tmp_path / "a.safetensors", fitting, changed=wrong)))
    with pytest.raises(WeightsError, match="bicubic"):
        vsr.load(str(written(tmp_path / "b.safetensors", "{}", arch="bicubic")))
    save_file({"body.0.bias": torch.zeros(3)}, tmp_path / "c.safetensors")
    with pytest.raises(WeightsError, match="no network"):
        vsr.load(str(tmp_path / "c.safetensors"))


def test_a_codec_that_nobody_knows_is_one_clear_error(make_clip: MakeClip) -> None:
    path = make_clip()
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(MediaError, match="no decoder"):
        vsr.probe(path)


def test_sound_that_lies_outside_the_stretch_does_not_fail_the_target(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    """MP4 writes no track without packets: that is no difference to complain of."""
    source = tmp_path / "late.mkv"
    with av.open(str(source), "w") as output, av.open(str(make_clip(frames=40))) as video:
        stream = output.add_stream_from_template(video.streams.video[0])
        sound = output.add_stream("pcm_s16le", rate=48000)
        assert isinstance(sound, av.AudioStream)
        sound.layout = "mono"
        for packet in video.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "mono")
        tone.sample_rate, tone.pts, tone.time_base = 48000, 48000, Fraction(1, 48000)
        output.mux(sound.encode(tone))
    options = vsr.UpscaleOptions(model="nearest", end=0.4, preset="ultrafast")
    target = tmp_path / "out.mov"
    assert vsr.upscale(source, target, options).frames == 10
    assert len(times_of(target)) == 10


def test_narrow_10_bit_hevc_does_not_crash_its_encoder(make_clip: MakeClip, tmp_path: Path) -> None:
    """In a process of its own: the lookahead of x265 4.2 corrupts the heap at these widths."""
    source = make_clip(size=(12, 8), pix_fmt="yuv420p10le", codec="ffv1", name="in.mkv")
    fast = ("--codec", "hevc", "--model", "nearest", "--preset", "ultrafast")
    run = fork_server.vsr("upscale", source, tmp_path / "out.mkv", *fast)
    assert run.returncode == 0, run.stderr


def picture_claiming(kind: str, side: int) -> bytes:
    """A small picture whose header was changed to claim ``side`` x ``side`` pixels."""
    lossy = [cv2.IMWRITE_WEBP_QUALITY, 90] if kind == ".webp" else []
    done, coded = cv2.imencode(kind, np.full((288, 320, 3), 77, np.uint8), lossy)
    assert done
    data = bytearray(coded.tobytes())
    if kind == ".png":
        data[16:24] = struct.pack(">II", side, side)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif kind == ".jpg":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    elif kind == ".webp":
        at = data.index(b"\x9d\x01\x2a")
        data[at + 3 : at + 7] = struct.pack("<HH", side & 0x3FFF, side & 0x3FFF)
    else:
        at = struct.unpack_from("<I", data, 4)[0] + 2
        for entry in range(at, at + 24, 12):  # the first two tags are width and height
            assert struct.unpack_from("<H", data, entry)[0] in (256, 257)
            data[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, side)
    return bytes(data)


@pytest.mark.parametrize("kind", [".png", ".jpg", ".webp", ".tiff"])
def test_a_picture_is_measured_before_it_is_decoded(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"in{kind}"
    path.write_bytes(picture_claiming(kind, 320))
    assert claimed_size(path.read_bytes()) == Size(320, 320)
    path.write_bytes(picture_claiming(kind, 0xFFFF))
    with pytest.raises(MediaError, match="claims frames of") as caught:
        vsr.upscale(path, tmp_path / "out.png", vsr.UpscaleOptions(model="nearest"))
    assert "--allow-huge" in (caught.value.hint or "")
    with pytest.raises(MediaError, match="claims frames of"):
        vsr.upscale(tmp_path, tmp_path.with_name("larger"), vsr.UpscaleOptions(model="nearest"))
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("cut", [4, 12, 20])
@pytest.mark.parametrize("kind", [".png", ".jpg", ".webp", ".tiff"])
def test_headers_that_end_early_claim_nothing(kind: str, cut: int) -> None:
    assert claimed_size(picture_claiming(kind, 320)[:cut]) is None


def test_a_jpeg_of_markers_without_end_takes_no_time() -> None:
    begun = time.process_time()
    assert claimed_size(b"\xff\xd8\xff" + b"\xff" * (1 << 20)) is None
    assert claimed_size(b"\xff\xd8\xff" + b"\0" * (1 << 26)) is None
    assert time.process_time() - begun < 5


def huge_videos(make_clip: MakeClip) -> dict[str, tuple[bytes, str]]:
    """Files whose container claims too much, and what is said of each.

    What is beyond FFmpeg's own limit, it forgets: then it is only known that there is none.
    """
    matroska = make_clip("a.mkv", size=(320, 288), codec="ffv1", frames=2).read_bytes()
    said = bytes.fromhex("b0820140ba820120")
    assert said in matroska
    plain = make_clip("a.y4m", codec="rawvideo", frames=2).read_bytes()
    return {
        "huge.mkv": (
            matroska.replace(said, bytes.fromhex("b082ffffba82ffff")),
            "no frame size",
        ),
        "large.mkv": (
            matroska.replace(said, bytes.fromhex("b0823000ba823000")),
            "no frame size",
        ),
        "huge.y4m": (plain.replace(b"W64 H48", b"W65535 H65535"), "cannot read"),
    }


def test_a_video_is_measured_before_it_is_decoded(make_clip: MakeClip, tmp_path: Path) -> None:
    for name, (data, said) in huge_videos(make_clip).items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(MediaError, match=said) as caught:
            vsr.upscale(path, tmp_path / "out.mkv", vsr.UpscaleOptions(model="nearest"))
        assert "--allow-huge" in (caught.value.hint or "")
        with pytest.raises(MediaError, match=said):
            vsr.probe(path)
    assert not (tmp_path / "out.mkv").exists()


def test_allow_huge_believes_what_is_there(make_clip: MakeClip, tmp_path: Path) -> None:
    """The bound is made small instead of the picture large."""
    source = make_clip(frames=2)
    options = vsr.UpscaleOptions(model="nearest", preset="ultrafast")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SOURCE_PIXELS", 1000)
        patch.setattr(limits, "TARGET_PIXELS", 1000)
        with pytest.raises(MediaError, match="claims frames of 64x48"):
            vsr.upscale(source, tmp_path / "out.mp4", options)
        huge = replace(options, allow_huge=True)
        assert vsr.upscale(source, tmp_path / "out.mp4", huge).frames == 2
        patch.setattr(limits, "SOURCE_PIXELS", 1 << 27)
        with pytest.raises(MediaError, match="the target would have frames of 256x192"):
            vsr.upscale(source, tmp_path / "other.mp4", options)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as unix:
        place = Path(tempfile.mkdtemp()) / "s.mp4"  # a socket's path is short
        unix.bind(str(place))
        for path, said in (
            (tmp_path / "pipe.mp4", "a pipe"),
            (tmp_path / "pipe.png", "a pipe"),
            (tmp_path / "zero.mp4", "a device"),
            (place, "a socket"),
        ):
            with pytest.raises(MediaError, match=f"is {said}, not a file"):
                vsr.upscale(path, tmp_path / f"out{path.suffix}")
            with pytest.raises(MediaError, match=f"is {said}, not a file"):
                vsr.probe(path)
    with pytest.raises(MediaError, match="is a folder, not a file"):
        vsr.probe(tmp_path)


def test_a_list_of_files_leads_nowhere(make_clip: MakeClip, tmp_path: Path) -> None:
    secret = make_clip("secret.mp4")
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {secret.name}\n")
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{secret.name}\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(text)
    for name in ("list.mp4", "list.m3u8"):
        with pytest.raises(MediaError, match="not a video that can be read") as caught:
            vsr.probe(tmp_path / name)
        assert "playlists" in (caught.value.hint or "")


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
def test_a_crooked_display_matrix_is_kept_or_named(
    target: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    source = make_clip(rotation=90)
    data = source.read_bytes()
    upright = struct.pack(">iiiiiiiii", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    turned = struct.pack(">iiiiiiiii", 0, -1 << 16, 0, 1 << 16, 0, 0, 0, 0, 1 << 30)
    matrix = next(matrix for matrix in (upright, turned) if matrix in data)
    crooked = struct.pack(">iiiiiiiii", 65535 << 8, 1 << 16, 0, -1 << 15, 0, 0, 0, 0, 1 << 30)
    source.write_bytes(data.replace(matrix, crooked))
    angle = vsr.probe(source).rotation
    assert angle % 90
    options = vsr.UpscaleOptions(model="nearest", preset="ultrafast")
    report = vsr.upscale(source, tmp_path / target, options)
    named = any(f"rotation by {angle} degrees" in lost for lost in report.dropped)
    assert named or vsr.probe(tmp_path / target).rotation == angle
