"""The laws of a whole run: frames and times, carried packets, tags, targets, crashes, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch

import vsr
from tests import fork_server
from tests.conftest import MakeClip, packets_of, tags_of, times_of
from vsr.errors import MediaError, OptionsError, VerificationFailed, VsrError
from vsr.events import Event, Finished, SegmentDone, Warned
from vsr.jobs.video import plan as planning
from vsr.media.write import verify as verifying

FAST: dict[str, Any] = {"model": "nearest", "preset": "ultrafast", "device": "cpu"}
SVT_FAST: dict[str, Any] = {"model": "nearest", "preset": "12", "device": "cpu"}


def options(**changed: Any) -> vsr.UpscaleOptions:
    return vsr.UpscaleOptions(**{**FAST, **changed})


def debris(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if ".vsr" in p.name or p.name.endswith(".part"))


CFR = [place * 512 for place in range(14)]
VFR = [0, 100, 700, 701, 2500, 9000, 9100, 30000, 30001, 99999]
LATE = [128000 + place * 512 for place in range(9)]
GAP = [0, 512, 1024, 640000, 640512, 641024]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(
    "pts", [CFR, VFR, LATE, GAP, [0]], ids=["cfr", "vfr", "late", "gap", "one"]
)
def test_frames_out_are_frames_in_and_every_time_is_equal(
    make_clip: MakeClip, tmp_path: Path, suffix: str, pts: list[int]
) -> None:
    source = make_clip(pts=pts)
    target = tmp_path / f"out.{suffix}"
    report = vsr.upscale(source, target, options())
    before, after = times_of(source), times_of(target)
    assert report.frames == len(before) == len(after) == len(pts)
    grid = Fraction(1, 2000) if suffix == "mkv" else 0  # Matroska's whole milliseconds
    assert all(abs(b - a) <= grid for b, a in zip(before, after, strict=True))
    with av.open(str(target)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (256, 192)
    assert not debris(tmp_path)


def test_many_segments_join_without_a_trace(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_clip(pts=VFR + [100000 + place * 700 for place in range(20)], sound=True)
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    vsr.upscale(source, whole, options())
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(4, 25))  # four frames each
    events: list[Event] = []
    vsr.upscale(source, cut, options(), events.append)
    assert sum(isinstance(event, SegmentDone) for event in events) >= 5
    assert times_of(cut) == times_of(whole) == times_of(source)
    assert packets_of(cut, "audio") == packets_of(source, "audio")
    with av.open(str(cut)) as container:
        stamps = [p.dts for p in container.demux(video=0) if p.dts is not None]
        assert stamps == sorted(set(stamps))


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1", "prores"])
@pytest.mark.parametrize("deep", [False, True], ids=["8bit", "10bit"])
def test_tags_depth_and_shape_survive_every_codec(
    make_clip: MakeClip, tmp_path: Path, codec: str, deep: bool
) -> None:
    tags = (9, 1, 9, 16) if deep else (5, 2, 6, 6)
    if codec == "prores" and not deep:
        tags = (5, 1, 6, 6)  # it has no full range
    source = make_clip(
        "in.mkv",
        frames=5,
        pix_fmt="yuv420p10le" if deep else "yuv420p",
        tags=tags,
        sample_aspect=Fraction(16, 15),
        rotation=90,
    )
    suffix = "mov" if codec == "prores" else "mp4"
    target = tmp_path / f"out.{suffix}"
    base = SVT_FAST if codec == "av1" else FAST
    chosen: dict[str, Any] = {**base, "codec": codec}
    if codec in ("ffv1", "prores"):
        chosen["preset"] = None
    vsr.upscale(source, target, vsr.UpscaleOptions(**chosen))
    assert tags_of(target) == tags
    made = vsr.probe(target)
    assert made.color.depth == (10 if deep or codec == "prores" else 8)
    assert made.sample_aspect == Fraction(16, 15)
    assert made.rotation % 360 == 90


def test_an_untagged_picture_that_grows_past_the_rule_gets_the_tag_it_was_read_by(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    source = make_clip(frames=3, size=(64, 200))  # 200 lines: BT.601; 800 lines would say BT.709
    vsr.upscale(source, tmp_path / "large.mp4", options())
    assert vsr.probe(tmp_path / "large.mp4").color.matrix == 6
    vsr.upscale(source, tmp_path / "small.mp4", options(height=400))
    assert vsr.probe(tmp_path / "small.mp4").color.matrix == 2  # still read the same way


def test_colours_stay_what_they_were(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip(frames=2, size=(64, 48), tags=(6, 1, 6, 6))
    target = tmp_path / "out.mkv"
    vsr.upscale(source, target, vsr.UpscaleOptions(model="nearest", codec="ffv1", device="cpu"))

    def first(path: Path) -> torch.Tensor:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            return torch.from_numpy(frame.to_ndarray()[: frame.height])  # luma

    enlarged = first(source).repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert (first(target).int() - enlarged.int()).abs().max() <= 1


def test_everything_beside_the_video_is_carried(samples: Path, tmp_path: Path) -> None:
    source = samples / "harbour.mkv"
    for suffix in ("mkv", "mp4"):
        target = tmp_path / f"out.{suffix}"
        report = vsr.upscale(source, target, options(height=180))
        assert packets_of(target, "audio") == packets_of(source, "audio")
        with av.open(str(source)) as before, av.open(str(target)) as after:
            assert after.metadata["title"] == before.metadata["title"]
            titles = [chapter["metadata"]["title"] for chapter in before.chapters()]
            assert [chapter["metadata"]["title"] for chapter in after.chapters()] == titles
            assert after.streams.subtitles[0].language == before.streams.subtitles[0].language
            text = [bytes(p) for p in before.demux(before.streams.subtitles[0]) if p.size]
            kept = [bytes(p) for p in after.demux(after.streams.subtitles[0]) if p.size > 2]
        assert [line[-len(want) :] for line, want in zip(kept, text, strict=True)] == text
        assert bool(report.converted) == (suffix == "mp4")


def test_a_stretch_is_cut_at_the_asked_times_and_stays_in_sync(
    samples: Path, tmp_path: Path
) -> None:
    source, target = samples / "chart.mp4", tmp_path / "out.mp4"
    report = vsr.upscale(source, target, options(height=180, start=0.5, end=1.5))
    start, end = Fraction(1, 2), Fraction(3, 2)
    expected = [time - start for time in times_of(source) if start <= time < end]
    assert times_of(target) == expected
    assert report.frames == 25
    with av.open(str(source)) as before, av.open(str(target)) as after:
        found = {bytes(p): p for p in before.demux(audio=0) if p.size}  # the last of equal ones
        first = max((p for p in after.demux(audio=0) if p.size), key=lambda p: (p.size, p.pts))
        same = found[bytes(first)]
        moved = (same.pts or 0) * same.time_base - (first.pts or 0) * first.time_base
    assert abs(moved - Fraction(1, 2)) <= Fraction(1, 48000)


def test_a_cut_between_two_milliseconds_leaves_no_chapter_before_the_first_frame(
    samples: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.mkv"
    vsr.upscale(samples / "harbour.mkv", target, options(height=48, start=1.4996666, end=1.7))
    with av.open(str(target)) as container:
        assert [chapter["start"] for chapter in container.chapters()] == [0]


def test_a_target_holds_what_it_held_or_a_verified_file(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = make_clip(frames=6), tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    with pytest.raises(OptionsError, match="exists already"):
        vsr.upscale(source, target, options())

    def broken(*_: object) -> list[Fraction]:
        return [Fraction(1)]

    with monkeypatch.context() as patch:
        patch.setattr(verifying, "_segment_times", broken)
        with pytest.raises(VerificationFailed):
            vsr.upscale(source, target, options(overwrite=True))
    assert target.read_bytes() == b"precious"
    assert debris(tmp_path) == [".out.mp4.vsr"]  # what was computed is kept
    vsr.upscale(source, target, options(overwrite=True))
    assert not debris(tmp_path)
    assert len(times_of(target)) == 6


@pytest.mark.extended
def test_a_full_disk_is_one_error_and_leaves_nothing(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip(frames=30, size=(160, 120))
    program = (
        "import resource, signal, sys\n"
        "from vsr.__main__ import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))\n"
        "sys.argv = ['vsr', 'upscale', sys.argv[1], sys.argv[2], '--model', 'lanczos', '-q',"
        " '--crf', '1', '--preset', 'ultrafast']\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program, str(source), str(tmp_path / "out.mp4")]
    run = fork_server.run(command, timeout=600)
    assert run.returncode == 3, run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.startswith("error: cannot write")
    assert not (tmp_path / "out.mp4").exists()
    assert not debris(tmp_path)


@pytest.mark.extended
def test_memory_does_not_grow_with_length(make_clip: MakeClip, tmp_path: Path) -> None:
    """Peak memory of 100 and of 1,000 frames, each in a process of its own."""
    program = (
        "import resource, sys, torch, vsr\n"
        "torch.set_num_threads(1)\n"
        "o = vsr.UpscaleOptions(model='nearest', preset='ultrafast', device='cpu')\n"
        "vsr.upscale(sys.argv[1], sys.argv[2], o)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    peaks: list[int] = []
    for frames in (100, 1000):
        source = make_clip(f"in{frames}.mp4", frames=frames, sound=True)
        run = subprocess.run(
            [sys.executable, "-c", program, str(source), str(tmp_path / f"out{frames}.mp4")],
            check=True,
            capture_output=True,
            text=True,
        )
        peaks.append(int(run.stdout))
    assert peaks[1] <= peaks[0] * 1.05, peaks


def test_pictures_folders_and_videos_become_each_other(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip(frames=7)
    frames = tmp_path / "frames"
    report = vsr.upscale(source, frames, options(height=48))
    names = sorted(path.name for path in frames.iterdir())
    assert names == [f"{number:06d}.png" for number in range(1, 8)]
    assert report.frames == 7
    large = tmp_path / "large"
    vsr.upscale(frames, large, options())
    assert sorted(path.name for path in large.iterdir()) == names
    film = tmp_path / "film.mkv"
    vsr.upscale(frames, film, options(fps="30000/1001"))
    times = times_of(film)
    assert len(times) == 7
    assert abs(times[6] - 6 * Fraction(1001, 30000)) <= Fraction(1, 2000)
    still = tmp_path / "still.jpg"
    vsr.upscale(frames / "000001.png", still, options(scale=3.0))
    assert not debris(tmp_path)


def test_interlaced_video_is_found_and_made_progressive(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "tff=1"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.flags |= 1 << 18 | 1 << 29  # interlaced transform and motion search
        rows = torch.arange(96)[:, None]
        for place in range(40):
            columns = torch.arange(128)[None, :]
            moved = columns - place * 6 - 3 * (rows % 2)  # each field half a frame later
            luma = ((moved // 8 % 2) * 180 + 30).to(torch.uint8)
            frame = av.VideoFrame(128, 96, "yuv420p")
            for plane, value in zip(frame.planes, (None, 128, 128), strict=True):
                data = bytes([value] * plane.buffer_size) if value is not None else None
                if data is None:
                    padded = torch.zeros(96, plane.line_size, dtype=torch.uint8)
                    padded[:, :128] = luma
                    data = padded.numpy().tobytes()
                plane.update(data)
            frame.pts = place
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    events: list[Event] = []
    vsr.upscale(path, tmp_path / "out.mp4", options(height=96), events.append)
    notes = [event.message for event in events if isinstance(event, Warned)]
    assert any("deinterlaced" in note for note in notes), notes
    fields = [time + half for time in times_of(path) for half in (0, Fraction(1, 50))]
    assert times_of(tmp_path / "out.mp4") == fields
    made = vsr.probe(tmp_path / "out.mp4")
    assert not made.flagged_interlaced


def test_a_plan_says_what_a_run_would_do_and_writes_nothing(samples: Path, tmp_path: Path) -> None:
    plan = vsr.plan(samples / "harbour.mkv", tmp_path / "out.mp4", options())
    assert str(plan.encoding.size) == "1280x720"
    assert plan.frames == 48
    assert len(plan.converted) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_report_and_the_journal_are_plain_data(make_clip: MakeClip, tmp_path: Path) -> None:
    from vsr.cli.console import as_json

    events: list[Event] = []
    source, target = make_clip(), tmp_path / "out.mp4"
    report = vsr.upscale(source, target, options(), events.append)
    assert json.loads(as_json(report))["frames"] == 12
    assert isinstance(events[-1], Finished)
    assert set(report.waiting) == {"decode", "enlarge", "encode"}
    assert all(0 <= share <= 1 for share in report.waiting.values())


@pytest.mark.parametrize(
    ("target", "kind"),
    [("missing/out.mp4", MediaError), ("out.xyz", OptionsError), ("out.webm", OptionsError)],
)
def test_targets_that_cannot_be_are_refused_before_any_work(
    make_clip: MakeClip, tmp_path: Path, target: str, kind: type[VsrError]
) -> None:
    with pytest.raises(kind):
        vsr.upscale(make_clip(), tmp_path / target, options(codec="h264"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


def test_the_target_may_not_be_the_source_by_any_name(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip()
    os.link(source, tmp_path / "twin.mp4")
    for target in (source, tmp_path / "twin.mp4"):
        with pytest.raises(OptionsError, match="is the source"):
            vsr.upscale(source, target, options(overwrite=True))
