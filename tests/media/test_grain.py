"""Known grain is found, and made alike; AV1 gets it without a change to its pixels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import pytest
from av.stream import Stream

from tests.marks import usually
from tests.media.fields.footage import Picture, pictures, psnr
from tests.media.test_clean import video
from tests.media.test_survey import grey_of
from vsr.color import ColorSpec
from vsr.errors import MediaError, OptionsError
from vsr.geometry import Size
from vsr.media.clean import Cleaner
from vsr.media.grain import BANDS, PLAIN, Grain, GrainMaker, measure, removal
from vsr.media.read.probe import probe
from vsr.media.write.film_grain import FilmGrain, model_of
from vsr.options import UpscaleOptions, parse_grain

EIGHT, TEN = ColorSpec("yuv", 8), ColorSpec("yuv", 10)
SPECTRUM = tuple(float(np.exp(-((2 * np.pi * n / BANDS / 2 * 0.8) ** 2))) for n in range(BANDS))


def noise(shape: tuple[int, ...], strength: float, blur: float, seed: int) -> np.ndarray:
    made = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
    made = cv2.GaussianBlur(made, (0, 0), blur)
    return made * np.float32(strength / made.std())


def scene(count: int, *, speed: float = 0.7) -> list[Picture]:
    """Something that moves before a wide, smooth ground, as most films have."""
    made = pictures(count, speed=speed)
    y, x = np.mgrid[0:288, 0:384]
    ground = 40 + x / 3 + y / 6
    for number, picture in enumerate(made):
        whole = ground.copy()
        whole[60:204, 20:212] = picture
        made[number] = whole.astype(np.uint8)
    return made


def grainy(strength: float, blur: float, count: int = 12) -> list[Picture]:
    return [
        np.clip(np.rint(p + noise(p.shape, strength, blur, n)), 0, 255).astype(np.uint8)
        for n, p in enumerate(scene(count))
    ]


def correlation(plane: np.ndarray, gap: int) -> float:
    plane = plane - plane.mean()
    return float((plane[:, :-gap] * plane[:, gap:]).mean() / (plane**2).mean())


def wanted_correlation(grain: Grain, gap: int) -> float:
    around = np.fft.ifft2(grain.density(256, 256)).real
    return float(around[0, gap] / around[0, 0])


@pytest.mark.parametrize(
    ("strength", "blur"),
    usually([(2.5, 0.3), (6.0, 1.2)], [(2.5, 0.3), (6.0, 0.8), (6.0, 1.2), (2.5, 1.2)]),
)
def test_grain_is_found_with_its_strength_and_its_spectrum(
    tmp_path: Path, strength: float, blur: float
) -> None:
    """The calmest fifth of the places lies below the mean: by 12 % where grain is coarse. Bands
    are 1/32 of a cycle wide: 0.08 of correlation."""
    frames = grainy(strength, blur)
    found = measure(probe(video(tmp_path / "in.mkv", frames, grey_of(frames), "ffv1")))
    assert found is not None
    assert 0.85 * strength < found.removed < 1.05 * strength
    sample = noise((256, 256), 1, blur, 0)
    for gap in (1, 2, 3):
        assert abs(wanted_correlation(found, gap) - correlation(sample, gap)) < 0.08


def test_grain_that_depends_on_luma_is_found_so(tmp_path: Path) -> None:
    _, x = np.mgrid[0:288, 0:384]
    ground = (60 + x / 3).astype(np.float32)
    frames = [
        np.clip(np.rint(ground + noise(ground.shape, 1, 0.7, n) * (8 - ground / 40)), 0, 255)
        for n in range(12)
    ]
    frames = [frame.astype(np.uint8) for frame in frames]
    found = measure(probe(video(tmp_path / "in.mkv", frames, grey_of(frames), "ffv1")))
    assert found is not None
    for luma in (80, 112, 144, 176):
        assert abs(found.at(np.array([float(luma)]))[0] - (8 - luma / 40)) < 0.8


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("ffv1", {}),
        ("libx264", {"crf": "18"}),
        ("libx264", {"crf": "36", "g": "6"}),
        ("mpeg2video", {"b": "300000", "g": "6"}),
        ("mpeg2video", {"b": "1500000", "g": "12"}),
        ("mjpeg", {"qmin": "20", "qmax": "31"}),
    ],
)
@pytest.mark.parametrize("speed", usually([0.3], [0.3, 2.0]))
def test_no_grain_is_found_where_there_is_none(
    tmp_path: Path, codec: str, options: dict[str, str], speed: float
) -> None:
    frames = scene(12, speed=speed)
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for luma in frames:
            frame = av.VideoFrame.from_ndarray(luma, format="gray")
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    assert measure(probe(path)) is None


@pytest.mark.parametrize("depth", [8, 10])
def test_the_network_sees_it_removed(depth: int) -> None:
    """Nearly halved: 5.5 dB of the flat ground, and the picture is nearer to the truth."""
    truth, frames = scene(3), grainy(5, 0.7, 3)
    pix = "yuv420p" if depth == 8 else "yuv420p10le"
    cleaner = Cleaner(removal(replace(PLAIN, removed=5.0), depth), pix)
    for known, luma in zip(truth, frames, strict=True):
        frame = av.VideoFrame.from_ndarray(luma, format="gray").reformat(format=pix)
        made = cleaner.clean(frame).reformat(format="gray").to_ndarray().astype(np.uint8)
        assert psnr(made, known) > psnr(luma, known) + 3.5
        assert psnr(made[230:], known[230:]) > psnr(luma[230:], known[230:]) + 5.5


def added(grain: Grain, color: ColorSpec, time: int, level: int = 112) -> np.ndarray:
    shape = (480, 640)
    planes = [np.full(shape, level << (color.depth - 8), color_type(color)) for _ in range(1)]
    planes += [np.full((240, 320), 128 << (color.depth - 8), color_type(color)) for _ in range(2)]
    GrainMaker(grain, color).add(planes, time)
    return np.concatenate([plane.astype(np.float64).ravel() for plane in planes])


def color_type(color: ColorSpec) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if color.depth == 8 else np.uint16


@pytest.mark.parametrize("color", [EIGHT, TEN])
def test_what_is_made_has_the_strength_and_the_spectrum_at_the_new_size(color: ColorSpec) -> None:
    grain = Grain((2.0, 2.0, 2.0, 5.0, 5.0, 3.0, 3.0, 3.0), SPECTRUM, (1.5, 0.0))
    for factor in (1, 4):
        large = grain.enlarged(Size(160, 120), Size(160 * factor, 120 * factor))
        one = 1 << (color.depth - 8)
        made = added(large, color, 7) / one
        luma, first, second = np.split(made, [640 * 480, 640 * 480 + 320 * 240])
        luma = luma.reshape(480, 640)
        assert abs(luma.std() - 5) < 0.35
        assert abs(luma.mean() - 112) < 0.7
        assert abs(first.std() - 1.5) < 0.25
        assert second.std() == 0
        for gap in (1, factor, 2 * factor):
            assert abs(correlation(luma, gap) - wanted_correlation(large, gap)) < 0.06
        dark = np.split(added(large, color, 7, 40) / one, [640 * 480])[0]
        assert abs(dark.std() - 2) < 0.25


def test_frames_differ_and_each_is_the_same_whoever_makes_it() -> None:
    grain = replace(PLAIN.of_strength(4.0), stretch=(4.0, 4.0))
    first, again, other = (added(grain, EIGHT, time) for time in (512, 512, 1024))
    assert (first == again).all()
    assert abs(np.corrcoef(first[: 640 * 480], other[: 640 * 480])[0, 1]) < 0.1
    assert not (added(grain, EIGHT, -512) == first).all()


def encoded(
    path: Path, grain: Grain | None, *, pix: str = "yuv420p", preset: str = "10", crf: str = "30"
) -> Path:
    """SVT-AV1's, of a scene that turns, moves and is cut, so that frames refer to others."""
    with av.open(str(path), "w") as container:
        options = {"preset": preset, "crf": crf, "g": "20"}
        stream = container.add_stream("libsvtav1", rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 384, 288, pix
        context = stream.codec_context
        context.open()
        film = None if grain is None else FilmGrain(grain, TEN if "10" in pix else EIGHT)
        if film is not None:
            context.extradata = film.of_header(context.extradata or b"")
        frames = [*scene(34, speed=2.0), *scene(12, speed=0.0)]
        for number, luma in enumerate([*frames, None]):
            frame = None
            if luma is not None:
                turn = cv2.getRotationMatrix2D((192, 144), number, 1 + number / 100)
                turned = cv2.warpAffine(luma, turn, (384, 288), borderMode=cv2.BORDER_REFLECT)
                frame = av.VideoFrame.from_ndarray(turned.astype(np.uint8), format="gray")
                frame = frame.reformat(format=pix)
                frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in cast("list[av.Packet[Stream]]", stream.encode(frame)):
                container.mux(packet if film is None else film.of_packet(packet, packet.pts or 0))
    return path


def decoded(path: Path, *, grain: bool) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if not grain:
            stream.codec_context.options = {"export_side_data": "film_grain"}
        return [frame.to_ndarray().astype(np.float64) for frame in container.decode(stream)]


@pytest.mark.parametrize(
    ("pix", "preset", "crf"),
    [("yuv420p", "10", "30"), ("yuv420p10le", "12", "55"), ("yuv420p", "6", "10")],
)
def test_av1_carries_the_grain_and_its_pixels_stay(
    tmp_path: Path, pix: str, preset: str, crf: str
) -> None:
    """What is decoded without grain is what was encoded, to the bit; with it, by as much as was
    asked for. A decoder makes it of 64 x 64 samples: of a coarse one few, so 25 % for a frame."""
    grain = replace(Grain((4.0,) * 8, SPECTRUM, (1.5, 0.0)), stretch=(2.0, 2.0))
    ways = {"pix": pix, "preset": preset, "crf": crf}
    plain = decoded(encoded(tmp_path / "plain.mkv", None, **ways), grain=True)
    path = encoded(tmp_path / "grain.mkv", grain, **ways)
    bare, shown = decoded(path, grain=False), decoded(path, grain=True)
    assert len(plain) == len(bare) == len(shown) == 46
    assert all((a == b).all() for a, b in zip(plain, bare, strict=True))
    one = 4 if "10" in pix else 1
    made = [(a - b) / one for a, b in zip(shown, bare, strict=True)]
    lumas = [frame[:288] for frame in made]
    assert abs(np.mean([luma.std() for luma in lumas]) - 4) < 0.5
    assert all(3 < luma.std() < 5.2 for luma in lumas)
    for gap in (1, 2, 4):
        mean = float(np.mean([correlation(luma, gap) for luma in lumas]))
        assert abs(mean - wanted_correlation(grain, gap)) < 0.13
    assert abs(np.corrcoef(lumas[3].ravel(), lumas[4].ravel())[0, 1]) < 0.2
    first, second = made[5][288:360], made[5][360:]
    assert 1 < first.std() < 2
    assert second.std() == 0


def test_a_header_that_makes_no_sense_is_an_error(tmp_path: Path) -> None:
    path = encoded(tmp_path / "plain.mkv", None)
    with av.open(str(path)) as container:
        packets = [bytes(p) for p in container.demux(video=0) if p.size]
    film = FilmGrain(PLAIN.of_strength(3.0), EIGHT)
    broken = av.Packet(packets[0][:12] + bytes([255] * 40))
    with pytest.raises(MediaError):
        film.of_packet(broken, 0)


def test_models_hold_every_strength() -> None:
    for strength in (0.3, 4.0, 30.0):
        for stretch in (1.0, 2.0, 4.0, 8.0):
            grain = replace(PLAIN.of_strength(strength), stretch=(stretch, stretch))
            model = model_of(grain)
            assert all(0 < scale <= 255 for _, scale in model.points)
            assert all(-128 <= weight <= 127 for weight in model.weights)
    # A sum of weights of 1 has no end; measured of a film of this spectrum.
    found = (6.3, 8.5, 7.7, 6.9, 5.5, 4.4, 3.4, 2.3, 1.6, 1.1, 0.67, 0.41, 0.24, 0.14, 0.08, 0.05)
    model = model_of(replace(Grain((5.6,) * 8, found), stretch=(4.0, 4.0)))
    assert all(60 < scale <= 255 for _, scale in model.points)


def test_what_is_asked_for_is_checked() -> None:
    assert parse_grain("off") is None
    assert parse_grain("auto") == "auto"
    assert parse_grain("4.5") == 4.5
    for text in ("on", "-1", "31", "nan", ""):
        with pytest.raises(OptionsError):
            UpscaleOptions(grain=text)
