"""Every field of video a frame, every picture of film once, at exact times, wherever one begins."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.marks import usually
from tests.media.fields.footage import (
    FILM,
    NTSC,
    PAL,
    Picture,
    in_fields,
    nearest,
    pictures,
    psnr,
    telecined,
    titled,
    write,
    write_soft,
)
from vsr.bench.clips import generate
from vsr.geometry import Size
from vsr.media.fields import look
from vsr.media.fields import plan as planning
from vsr.media.fields.look import plan_fields, stretches_of
from vsr.media.fields.measure import MIN_LINES, measured
from vsr.media.fields.plan import FieldPlan
from vsr.media.read.probe import probe
from vsr.media.read.reader import Reader

Shown = tuple[list[Picture], list[Fraction]]
KINDS = [("mpg", "mpeg2video"), ("mp4", "libx264"), ("mkv", "libx264")]


def shown(path: Path, **asked: Any) -> tuple[Shown, FieldPlan | None, str]:
    """Luma and times of all frames; the plan; what was told of it."""
    info = probe(path)
    plan, told = plan_fields(info, **asked)
    lumas: list[Picture] = []
    times: list[Fraction] = []
    for clip in Reader(info, fields=plan):
        lumas += [plane.numpy().copy() for plane in clip.planes[0]]
        times += [pts * clip.time_base for pts in clip.pts]
    return (lumas, times), plan, "; ".join(told)


def steps(times: list[Fraction]) -> set[Fraction]:
    return {later - earlier for earlier, later in pairwise(times)}


@pytest.mark.parametrize("top_first", [True, False], ids=["top", "bottom"])
@pytest.mark.parametrize(("suffix", "codec"), KINDS, ids=[suffix for suffix, _ in KINDS])
def test_every_field_of_video_becomes_a_frame_at_its_time(
    tmp_path: Path, suffix: str, codec: str, top_first: bool
) -> None:
    moments = pictures(80)
    path = tmp_path / f"in.{suffix}"
    write(path, in_fields(moments, top_first=top_first), codec=codec, top_first=top_first)
    (lumas, times), plan, told = shown(path)
    assert plan is not None
    assert "interlaced" in told, told
    assert ("top first" if top_first else "bottom first") in told, told
    assert nearest(lumas, moments) == list(range(80))
    assert min(psnr(luma, moment) for luma, moment in zip(lumas, moments, strict=True)) > 24
    grid = Fraction(1, 1000) if suffix == "mkv" else 0  # the source's own rounding
    field = 1 / (2 * NTSC)
    assert all(abs(time - times[0] - n * field) <= grid for n, time in enumerate(times))


@pytest.mark.parametrize(
    ("lengths", "skip"),
    usually(
        [((2, 3, 2, 3), 3), ((2, 3, 3, 2), 4)],
        [
            *(((2, 3, 2, 3), skip) for skip in (0, 3, 6)),
            *(((2, 3, 3, 2), skip) for skip in (0, 4)),
        ],
    ),
)
@pytest.mark.parametrize(
    ("suffix", "codec", "top_first", "flagged"),
    [
        ("mpg", "mpeg2video", True, True),
        ("mp4", "libx264", False, True),
        ("mkv", "libx264", True, False),  # the flags lie
    ],
    ids=["mpg", "mp4", "unflagged"],
)
def test_every_picture_of_telecined_film_comes_back_once(
    tmp_path: Path,
    suffix: str,
    codec: str,
    top_first: bool,
    flagged: bool,
    lengths: tuple[int, ...],
    skip: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film = pictures(64)
    monkeypatch.setattr(look, "TELEVISION", {film[0].shape[::-1]})
    frames, pairs = telecined(film, lengths, top_first=top_first, skip=skip)
    path = tmp_path / f"in.{suffix}"
    write(path, frames, codec=codec, top_first=top_first, flagged=flagged)
    (lumas, times), plan, told = shown(path)
    assert plan is not None
    assert "telecined" in told, told
    assert nearest(lumas, film) == sorted({picture for pair in pairs for picture in pair})
    inside = [psnr(luma, film[n]) for luma, n in zip(lumas, nearest(lumas, film), strict=True)]
    assert min(inside[1:-1]) > 33  # woven of clean fields: as good as the coding
    # A picture of which only the last field was left is shown at that field.
    assert steps(times[1:-1]) == {1 / FILM}


def test_soft_telecine_gets_even_times(tmp_path: Path) -> None:
    film = pictures(48)
    path = write_soft(tmp_path / "in.ts", film)
    (lumas, times), plan, told = shown(path)
    assert plan is not None
    assert "even times" in told
    assert nearest(lumas, film) == list(range(48))
    assert steps(times) == {1 / FILM}
    (_, raw), none, _ = shown(path, ivtc="off")
    assert none is None
    assert len(steps(raw)) > 1


def test_fields_of_film_at_25_are_matched_where_they_straddle_frames(tmp_path: Path) -> None:
    film = pictures(50)
    frames, _ = telecined(film, (2,), skip=1)
    path = write(tmp_path / "in.mp4", frames, rate=PAL, codec="libx264")
    (lumas, times), _, told = shown(path)
    assert "2:2" in told
    assert nearest(lumas, film) == list(range(50))
    assert steps(times[1:]) == {1 / PAL}


@pytest.mark.parametrize("seed", range(4))
def test_cuts_in_the_cadence_lose_no_picture_and_double_none(tmp_path: Path, seed: int) -> None:
    film = pictures(90)
    frames, pairs = telecined(film)
    random = np.random.default_rng(seed)
    kept: list[int] = []
    place = 0
    while place < len(frames):
        length = int(random.integers(18, 40))
        kept += range(place, min(len(frames), place + length))
        place += length + int(random.integers(1, 5))
    path = write(tmp_path / "in.mpg", [frames[n] for n in kept])
    (lumas, times), _, _ = shown(path)
    assert nearest(lumas, film) == sorted({picture for n in kept for picture in pairs[n]})
    assert all(step > 0 for step in steps(times))
    # In sync throughout: no picture is farther than a field and a half from its first field.
    first = {
        picture: (2 * place + side) / (2 * NTSC)
        for place, n in reversed(list(enumerate(kept)))
        for side, picture in reversed(list(enumerate(pairs[n])))
    }
    for time, picture in zip(times, nearest(lumas, film), strict=True):
        assert abs(time - times[0] - first[picture]) <= Fraction(3, 2) / (2 * NTSC)


def combed(lumas: Sequence[Picture]) -> int:
    """How many samples lie far outside of both their neighbours above and below."""
    stack = np.stack(lumas).astype(np.int16)
    above, middle, below = stack[:, :-2], stack[:, 1:-1], stack[:, 2:]
    out = np.maximum(np.minimum(above, below) - middle, middle - np.maximum(above, below))
    return int((out > 25).sum())


@pytest.mark.parametrize(("codec", "suffix"), [("mpeg2video", "mpg"), ("libx264", "mp4")])
def test_titles_in_video_over_film_cost_no_picture_and_no_time_and_do_not_comb(
    tmp_path: Path, codec: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = pictures(80)
    path = write(tmp_path / f"in.{suffix}", titled(film), codec=codec)
    (lumas, times), plan, told = shown(path, ivtc="auto")
    assert plan is not None
    assert "the cadence breaks 0 times" in told
    assert "titles in video over" in told
    upper = [picture[:100] for picture in film]
    assert nearest([luma[:100] for luma in lumas], upper) == list(range(80))
    assert steps(times[1:-1]) == {1 / FILM}

    def none(*_: object) -> dict[int, bytes]:
        return {}

    monkeypatch.setattr(planning, "titles_of", none)
    (plain, _), _, _ = shown(path, ivtc="auto")
    assert combed(lumas) < combed(plain) / 3
    for one, other in zip(lumas, plain, strict=True):  # the film itself is what it was
        assert np.array_equal(one[:96], other[:96])


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_titles_over_film_that_hardly_moves_are_fields_and_the_rest_is_film(
    tmp_path: Path, codec: str
) -> None:
    """The letters move so fast that no pair of fields is clean; the order of fields stays."""
    random = np.random.default_rng(3)
    slow = [
        np.clip(picture.astype(np.int16) // 2 + random.integers(-1, 2, picture.shape), 0, 255)
        for picture in pictures(80, speed=0.6)
    ]
    frames = titled([picture.astype(np.uint8) for picture in slow])
    path = write(tmp_path / "in.mkv", frames, codec=codec)
    plan, _ = plan_fields(probe(path))
    assert plan is not None
    assert plan.counts.top_first
    assert set(plan.counts.cadences) == {"3:2"}


def test_film_that_was_compressed_hard_has_no_titles(tmp_path: Path) -> None:
    frames, _ = telecined(pictures(60))
    path = write(tmp_path / "in.mpg", frames, mpeg2_bits=600000)
    plan, _ = plan_fields(probe(path))
    assert plan is not None
    assert plan.counts.film > 40
    assert plan.counts.titled == 0


def test_mixed_video_is_treated_by_its_stretches(tmp_path: Path) -> None:
    film, moments, whole = pictures(64), pictures(60, seed=1), pictures(40, seed=2)
    frames = [*telecined(film)[0], *in_fields(moments), *whole]
    path = write(tmp_path / "in.mp4", frames, codec="libx264")
    (lumas, times), plan, told = shown(path)
    assert plan is not None
    assert nearest(lumas, [*film, *moments, *whole]) == list(range(164))
    assert steps(times[:60]) == {1 / FILM}
    assert steps(times[66:120]) == {1 / (2 * NTSC)}
    assert steps(times[128:]) == {1 / NTSC}
    assert all(word in told for word in ("telecined", "interlaced", "progressive"))
    ends = plan.times + plan.durations
    assert (ends[:-1] == plan.times[1:]).all()


def test_progressive_video_is_left_alone_whatever_its_flags(tmp_path: Path) -> None:
    whole = pictures(60)
    flagged = write(tmp_path / "flagged.mpg", whole)
    plan, told = plan_fields(probe(flagged))
    assert plan is None
    assert "no combing" in told[0]
    plain = write(tmp_path / "plain.mp4", whole, codec="libx264", flagged=False)
    assert plan_fields(probe(plain)) == (None, ())


def test_field_order_is_what_moves_and_not_what_flags_say(tmp_path: Path) -> None:
    moments = pictures(60)
    frames = in_fields(moments, top_first=False)
    path = write(tmp_path / "in.mpg", frames, top_first=True)
    (lumas, _), _, told = shown(path)
    assert "bottom first" in told
    assert nearest(lumas, moments) == list(range(60))


def test_what_is_asked_for_is_done_to_all_of_it(tmp_path: Path) -> None:
    moments = pictures(60)
    path = write(tmp_path / "in.mpg", in_fields(moments))
    (one_each, times), _, _ = shown(path, deinterlace="frames")
    assert nearest(one_each, moments) == list(range(0, 60, 2))
    assert steps(times) == {1 / NTSC}
    assert plan_fields(probe(path), deinterlace="off") == (None, ())
    still = write(tmp_path / "still.mpg", [moments[0]] * 30)
    (doubled, times), _, _ = shown(still, deinterlace="fields")
    assert len(doubled) == 60
    assert steps(times) == {1 / (2 * NTSC)}


@pytest.mark.parametrize("kind", ["video", "film", "titles"])
def test_a_frame_is_the_same_wherever_reading_begins(tmp_path: Path, kind: str) -> None:
    made = pictures(70)
    frames = in_fields(made) if kind == "video" else telecined(made)[0]
    frames = titled(made) if kind == "titles" else frames
    path = write(tmp_path / "in.mp4", frames, codec="libx264")
    info = probe(path)
    plan, _ = plan_fields(info)
    assert plan is not None
    (whole, _), _, _ = shown(path)
    for after in range(0, len(plan.times) - 1, 5):
        reader = Reader(info, fields=plan, after=int(plan.times[after]))
        clip = next(iter(reader))
        assert clip.pts[0] == plan.times[after + 1]
        for place, luma in enumerate(clip.planes[0]):
            assert (luma.numpy() == whole[after + 1 + place]).all(), (after, place)


def test_fields_of_tape_formats_are_found(tmp_path: Path) -> None:
    """DV: 4:1:1, intra-coded, bottom first by its standard, without a flag in AVI."""
    moments = [np.pad(p, ((168, 168), (264, 264)), "reflect") for p in pictures(40)]
    moments = [p[:480, :720] for p in moments]
    path = write(
        tmp_path / "in.avi", in_fields(moments, top_first=False), codec="dvvideo", top_first=False
    )
    (lumas, times), _, told = shown(path)
    assert "bottom first" in told
    assert nearest(lumas, moments) == list(range(40))
    assert steps(times) == {1 / (2 * NTSC)}


@pytest.mark.parametrize("kind", ["terminal", "slides", "moving"])
def test_a_recording_of_a_screen_is_left_alone(kind: str, tmp_path: Path) -> None:
    """Lines that change look like combs, and frames that are held like film."""
    path = tmp_path / "in.mkv"
    generate(kind, path, Size(160, 96), 48)
    assert plan_fields(probe(path)) == (None, ())


@pytest.mark.parametrize("height", [2, 4, 6, 8, 14, 16, 20, 22, 24])
def test_few_lines_are_looked_at_or_left_alone(height: int, tmp_path: Path) -> None:
    """There are fewer lines than tiles; of fewer than six nothing is told."""
    frames = [np.ascontiguousarray(frame[:height]) for frame in in_fields(pictures(40))]
    lumas = list(measured(frames)) if height >= MIN_LINES else []
    assert all(0 <= one.inner <= 1 for one in lumas)
    path = write(tmp_path / "in.mkv", frames, codec="ffv1")
    info = probe(path)
    plan, _ = plan_fields(info, deinterlace="fields")
    assert (plan is None) == (height < 8)  # bwdif takes no plane of fewer than 4 lines
    if plan is not None:
        made = sum(len(clip.pts) for clip in Reader(info, fields=plan))
        assert made == len(plan.times)
    assert sum(stretch.frames for stretch in stretches_of(probe(path))) in (0, 20)


def test_titles_are_left_where_fields_are(tmp_path: Path) -> None:
    path = write(tmp_path / "in.mp4", titled(pictures(80)), codec="libx264")
    plan, _ = plan_fields(probe(path), deinterlace="off", ivtc="on")
    assert plan is not None
    assert not plan.titles
    assert not (plan.kinds & planning.MENDED).any()
