"""Several segments' encoders beside one engine: the same bytes, and nothing left on failure."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import vsr
from tests.conftest import MakeClip
from tests.infer.test_in_flight import LOW, SPEC, engine, footage, same
from tests.marks import usually
from vsr.errors import MediaError, OptionsError, Stopped
from vsr.events import Event, SegmentDone, Warned
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.infer.reuse import Planes
from vsr.jobs import pace
from vsr.jobs.pace import encoder_count
from vsr.jobs.video import plan as planning
from vsr.jobs.video.journal import folder_of
from vsr.jobs.video.plan import Plan, make_plan
from vsr.jobs.video.run import run
from vsr.media.write import encoding as encodings
from vsr.media.write import writer
from vsr.options import UpscaleOptions
from vsr.weights import load

OPTIONS = UpscaleOptions(model="bicubic", device="cpu", preset="ultrafast")


def film(make_clip: MakeClip) -> Path:
    """Three segments of five seconds, the last one short."""
    return make_clip(frames=270, options={"g": "40", "preset": "ultrafast"})


@pytest.mark.parametrize(
    ("model", "counts"), usually([("bicubic", "123")], [("bicubic", "123"), ("tiny", "13")])
)
def test_bytes_do_not_depend_on_how_many_there_are(
    model: str, counts: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    source = film(make_clip)
    made: list[bytes] = []
    for count in counts:
        target = tmp_path / f"{count}.mp4"
        told: list[Event] = []
        options = replace(OPTIONS, model=model, encoders=count)
        report = vsr.upscale(source, target, options, told.append)
        assert report.frames == 270
        assert sorted(e.index for e in told if isinstance(e, SegmentDone)) == [0, 1, 2]
        made.append(target.read_bytes())
    assert set(made) == {made[0]}
    assert not [t for t in threading.enumerate() if t.name.startswith("vsr-")]


def test_a_run_with_several_goes_on_with_one(make_clip: MakeClip, tmp_path: Path) -> None:
    source, target = film(make_clip), tmp_path / "out.mp4"
    vsr.upscale(source, tmp_path / "whole.mp4", OPTIONS)
    upscaler = load("bicubic")
    for count in ("3", "1"):
        options = replace(OPTIONS, encoders=count)
        told: list[Event] = []

        def enough(told: list[Event] = told, count: str = count) -> bool:
            return count == "3" and any(isinstance(event, SegmentDone) for event in told)

        plan = make_plan(source, target, options, upscaler)
        made = Engine(upscaler, options.engine)
        if count == "3":
            with pytest.raises(Stopped):
                run(plan, made, options, told.append, enough)
        else:
            run(plan, made, options, told.append, enough)
            assert any(isinstance(e, SegmentDone) and e.resumed for e in told)
    assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_one_that_fails_ends_the_others_and_leaves_nothing(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = film(make_clip), tmp_path / "out.mp4"
    finish = writer.SegmentWriter.finish

    def failing(self: writer.SegmentWriter) -> Any:
        if self.index == 2:
            raise MediaError("the encoder broke")
        return finish(self)

    monkeypatch.setattr(writer.SegmentWriter, "finish", failing)
    with pytest.raises(MediaError, match="the encoder broke"):
        vsr.upscale(source, target, replace(OPTIONS, encoders="3"))
    assert not target.exists()
    assert not [t for t in threading.enumerate() if t.name.startswith("vsr-")]
    folder = folder_of(target)
    left = [path.name for path in folder.iterdir()] if folder.exists() else []
    assert not [name for name in left if name.endswith(".part")]
    monkeypatch.undo()
    vsr.upscale(source, target, replace(OPTIONS, encoders="2"))
    assert target.exists()


def test_what_one_engine_widens_for_changes_nothing_for_the_other() -> None:
    """Clips of two films in turn, one of which half precision makes no picture of."""
    films = [footage({2, 5}), footage(set())]

    def alone(clips: list[Planes]) -> list[Planes]:
        made = engine("half", [], waits=True)
        return [made.enlarge(clip, SPEC, SPEC, LOW.scaled(2)) for clip in clips]

    expected = [alone(clips) for clips in films]
    first = engine("half", [], waits=True)
    engines = [first, first.beside()]
    got: list[list[Planes]] = [[], []]

    def work(place: int) -> None:
        for clip in films[place]:
            got[place].append(engines[place].enlarge(clip, SPEC, SPEC, LOW.scaled(2)))

    threads = [threading.Thread(target=work, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same(got[0], expected[0])
    assert same(got[1], expected[1])
    assert engines[0].placement.dtype != engines[1].placement.dtype
    assert engines[0]._placed._networks is engines[1]._placed._networks  # pyright: ignore[reportPrivateUsage]


def planned(
    make_clip: MakeClip, target: Path, monkeypatch: pytest.MonkeyPatch, cores: int, **asked: Any
) -> Plan:
    """The plan for a card that is believed in, on a machine of so many cores."""

    def card(name: str) -> torch.device:
        del name
        return torch.device("cuda")

    def nothing(*rest: object) -> str:
        del rest
        return ""

    monkeypatch.setattr(planning, "pick", card)
    monkeypatch.setattr(planning, "refusal", nothing)
    monkeypatch.setattr(planning, "check_opens", nothing)
    monkeypatch.setattr(encodings, "processors", lambda: cores)
    source = make_clip(size=(1280, 720), frames=2)
    options = replace(UpscaleOptions(model="compact", overwrite=True), **asked)
    return make_plan(source, target, options, load("compact"))


def test_the_default_encoder_keeps_up_with_a_gpu(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def preset(plan: Plan) -> tuple[str, str]:
        return plan.encoding.codec, dict(plan.encoding.options)["preset"]

    target = tmp_path / "out.mkv"
    many = planned(make_clip, target, monkeypatch, 16)
    assert preset(many) == ("av1", "12")  # compact makes 88 frames of 5120x2880 a second
    (told,) = [note for note in many.notes if "lest the GPU wait" in note]
    assert "--codec hevc" in told
    assert preset(planned(make_clip, target, monkeypatch, 64)) == ("av1", "8")
    asked = planned(make_clip, target, monkeypatch, 16, codec="hevc", preset="slow")
    assert preset(asked) == ("hevc", "slow")
    assert not [note for note in asked.notes if "lest" in note]
    small = planned(make_clip, target, monkeypatch, 16, height=1080)
    assert preset(small)[0] == "h264"
    quicktime = planned(make_clip, tmp_path / "out.mov", monkeypatch, 16)
    assert preset(quicktime)[0] == "hevc"
    monkeypatch.undo()
    on_cpu = make_plan(
        tmp_path / "in.mp4",
        target,
        UpscaleOptions(model="compact", device="cpu"),
        load("compact"),
    )
    assert preset(on_cpu) == ("hevc", "medium")
    assert not [note for note in on_cpu.notes if "lest" in note]


def test_there_are_several_where_the_network_is_the_quicker_one(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(make_clip(size=(320, 180)), tmp_path / "out.mp4", OPTIONS, load("bicubic"))
    encoding = replace(plan.encoding, options=(("preset", "medium"),))
    cpu, gpu, source = torch.device("cpu"), torch.device("cuda"), Size(320, 180)

    def count(model: str, device: torch.device, cores: int, asked: int | None = None) -> int:
        monkeypatch.setattr(pace, "processors", lambda: cores)
        return encoder_count(asked, encoding, load(model), device, source)

    monkeypatch.setattr(pace, "free_host", lambda: 1 << 40)
    assert count("srgan", cpu, 16) == 1
    assert count("nearest", cpu, 16) == 4
    assert count("nearest", cpu, 2) == 1
    assert count("srgan", gpu, 16) == 4
    assert count("srgan", gpu, 8) == 2
    assert count("srgan", cpu, 16, asked=3) == 3
    monkeypatch.setattr(pace, "free_host", lambda: 1 << 28)
    assert count("nearest", cpu, 16) == 1  # each keeps frames


@pytest.mark.parametrize("encoders", ["0", "-1", "many", "100"])
def test_a_number_of_encoders_that_cannot_be(encoders: str) -> None:
    with pytest.raises(OptionsError, match="encoders must be auto"):
        UpscaleOptions(encoders=encoders)


def test_a_film_without_times_is_gone_through_in_order(make_clip: MakeClip, tmp_path: Path) -> None:
    source, target = (
        make_clip("in.ts", frames=140, options={"preset": "ultrafast"}),
        tmp_path / "out.mp4",
    )
    told: list[Event] = []
    vsr.upscale(source, target, replace(OPTIONS, encoders="3"), told.append)
    assert not [e for e in told if isinstance(e, Warned) and "one worker" in e.message]
    assert target.exists()
