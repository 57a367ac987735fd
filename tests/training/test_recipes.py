"""Every recipe trains for a few steps, in every variant; what it exports is what it validated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import count, product
from pathlib import Path
from typing import Any, get_args

import cv2
import pytest
import torch

from tests.marks import usually
from tests.models import published
from vsr import weights
from vsr.cli import train as command
from vsr.degrade.noise import Specks
from vsr.errors import OptionsError
from vsr.events import Saved, Warned
from vsr.infer.engine import Engine
from vsr.metrics.picture import psnr
from vsr.models.catalog import ARCHS
from vsr.options import EngineOptions
from vsr.perceptual.vgg import conv_names, feature_index
from vsr.training.events import TrainingEvent, TrainingStarted, TrainReport, Validated
from vsr.training.loop import train
from vsr.training.network.export import parameters_of
from vsr.training.options import TrainOptions, parse_loss_weights, parse_net
from vsr.training.recipe import GENERATORS
from vsr.training.recipes import PRESETS, RECIPES, resolve
from vsr.training.setup import Training
from vsr.training.training_log import read

NETS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "srcnn": (("features", 8), ("mapped", 4)),
    "srresnet": (("features", 8), ("blocks", 1)),
    "compact": (("features", 8), ("layers", 2)),
    "tiny": (("features", 8), ("layers", 2)),
    "rrdb": (("features", 8), ("blocks", 1), ("growth", 4)),
    "video": (("features", 8), ("layers", 2)),
    "video-tiny": (("features", 8), ("layers", 2)),
}
ALL = {**RECIPES, **PRESETS}
USUAL = ("srgan", "video")
"""One of pictures and one of sequences."""
SMALL = {name: NETS[recipe.generator] for name, recipe in ALL.items()}
FULL = {"srcnn": 20_099, "srresnet": 1_549_462, "compact": 621_424}


def test_the_help_and_the_guide_name_every_recipe_and_network() -> None:
    """A preset was in none of them."""
    docs = Path(__file__).parent.parent.parent / "docs"
    pages = (docs / "guide" / "training.md", docs / "concepts" / "models.md")
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert not [name for name in (*ALL, *GENERATORS) if f"`{name}`" not in text], path
    for flag, names in ((command.Recipe, ALL), (command.Arch, GENERATORS)):
        help_words = re.findall(r"[a-z-]+", get_args(flag)[1].help)
        assert [word for word in help_words if word in names] == list(names)


@pytest.fixture(scope="session")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> str:
    """torchvision's layout with random weights and few filters."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = {}
    before = 3
    for name in conv_names():
        filters = 4 * int(name[0])
        state[f"features.{feature_index(name)}.weight"] = torch.randn(filters, before, 3, 3) / 6
        state[f"features.{feature_index(name)}.bias"] = torch.randn(filters) / 10
        before = filters
    path = tmp_path_factory.mktemp("vgg") / "vgg.pth"
    torch.save(state, path)
    return str(path)


def options(frames: Path, out: Path, recipe: str = "compact", **changes: Any) -> TrainOptions:
    values: dict[str, Any] = {
        "recipe": recipe, "steps": 6, "batch": 2, "patch": 12, "device": "cpu", "dtype": "fp32",
        "net": SMALL[recipe], "validate_every": 4, "workers": 0, "vgg": "none",
    }  # fmt: skip
    return TrainOptions((frames,), out, **{**values, **changes})


@pytest.mark.parametrize(
    "name",
    usually(USUAL, ALL),
)
def test_every_recipe_learns_exports_and_reports(
    name: str, frames: Path, tmp_path: Path, vgg: str
) -> None:
    events: list[TrainingEvent] = []
    judge = vgg if ALL[name].is_gan else "none"
    report = train(options(frames, tmp_path / "run", name, vgg=judge), events.append)
    assert (report.finished, report.step, report.pictures) == (True, 6, 7)
    assert any(isinstance(event, TrainingStarted) for event in events)
    validated = [event for event in events if isinstance(event, Validated)]
    assert [event.step for event in validated] == [0, 4, 6]
    assert any(isinstance(event, Saved) for event in events)
    judged = ["perceptual"] if judge != "none" else []
    judged += ["flicker"] if ALL[name].is_sequential else []
    assert sorted(report.metrics) == sorted(["psnr", "ssim", *judged])
    steps = [line for line in read(report.out) if "losses" in line]
    expected = {"pixel"}
    if ALL[name].is_gan:
        expected |= {"adversarial", "content", "tone", "discriminator", "real", "made"}
    if ALL[name].temporal_weight:
        expected |= {"temporal", "temporal_discriminator", "flicker"}
    assert set(steps[-1]["losses"]) == expected
    for path in (report.last, report.best):
        upscaler = weights.load(path)
        assert upscaler.arch == ALL[name].arch
        assert upscaler.scale == 4
        assert upscaler.card["recipe"] == name
        card = path.with_suffix(".md").read_text(encoding="utf-8")
        assert f"{upscaler.parameters:,}"[:2] in card
        assert str(tmp_path) not in card
    sheet = cv2.imread(str(validated[-1].sheet))
    assert sheet is not None
    assert sheet.shape[1] > 4 * (90 if ALL[name].is_sequential else 120)
    assert cv2.imread(str(report.out / "loss.png")) is not None


def test_what_is_exported_is_what_was_validated(frames: Path, tmp_path: Path) -> None:
    val = tmp_path / "val"
    val.mkdir()
    (val / "a.png").write_bytes((frames / "picture0.png").read_bytes())
    report = train(options(frames, tmp_path / "run", "srresnet", val=val, steps=4))
    from vsr.training.validate import validation_pairs_in

    (pair,) = validation_pairs_in(val, RECIPES["psnr"], 0)
    engine = Engine(weights.load(report.last), EngineOptions(device="cpu", dtype="fp32"))
    again = psnr(engine.upscale(pair.low)[0].clamp(0, 1), pair.high[0])
    line = [line for line in read(report.out) if "metrics" in line][-1]
    assert again == pytest.approx(line["metrics"]["psnr"], abs=1e-3)


def test_a_few_hundred_steps_beat_bicubic(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsr.training.setup.SPECKS", Specks(chance=0))  # they make losses jump
    net = (("features", 16), ("layers", 3))
    run = options(frames, tmp_path, steps=500, batch=4, lr=3e-3, validate_every=500, net=net)
    report = train(run)
    assert report.start["psnr"] > 20  # a fresh compact is bicubic
    assert report.metrics["psnr"] > report.start["psnr"] + 0.3
    losses = [line["losses"]["pixel"] for line in read(report.out) if "losses" in line]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("head", "kind"),
    usually(
        [("global", "standard"), ("local", "relativistic"), ("local", "hinge")],
        product(("global", "local"), ("standard", "relativistic", "hinge")),
    ),
)
def test_adversarial_variants(head: str, kind: str, frames: Path, tmp_path: Path, vgg: str) -> None:
    changes = {"head": head, "adversarial": kind, "steps": 2, "vgg": vgg}
    report = train(options(frames, tmp_path, "srgan", **changes))
    assert report.finished
    assert report.skipped_steps == 0


@pytest.mark.parametrize("pixel", ["mse", "l1", "charbonnier"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_pixel_losses_and_types(pixel: str, dtype: str, frames: Path, tmp_path: Path) -> None:
    report = train(options(frames, tmp_path, pixel=pixel, dtype=dtype, steps=2))
    assert report.finished


def test_without_vgg_a_gan_learns_from_pixels_and_says_so(frames: Path, tmp_path: Path) -> None:
    events: list[TrainingEvent] = []
    train(options(frames, tmp_path, "srgan", steps=2), events.append)
    assert any(isinstance(event, Warned) and "VGG19" in event.message for event in events)
    recipe = resolve(options(frames, tmp_path, "srgan"))
    assert (recipe.content_weight, recipe.pixel_weight, recipe.best) == (0, 1, "psnr")


def test_a_gan_starts_from_a_warm_up_and_keeps_its_size(
    frames: Path, tmp_path: Path, vgg: str
) -> None:
    warm = train(options(frames, tmp_path / "warm", "srresnet", steps=3))
    start = {"init": str(warm.last), "net": (), "vgg": vgg, "steps": 1}
    events: list[TrainingEvent] = []
    report = train(options(frames, tmp_path / "gan", "srgan", **start), events.append)
    begun = next(event for event in events if isinstance(event, TrainingStarted))
    assert begun.parameters == parameters_of(weights.load(warm.last).module) + _norms(warm)
    first = next(event for event in events if isinstance(event, Validated))
    line = [line for line in read(warm.out) if "metrics" in line][-1]
    # The start of the second is the end of the first, but for the rounding to half precision.
    assert first.metrics["psnr"] == pytest.approx(line["metrics"]["psnr"], abs=0.05)
    assert "started from" in report.last.with_suffix(".md").read_text(encoding="utf-8")


def test_published_weights_can_be_trained_on(frames: Path, tmp_path: Path) -> None:
    path = tmp_path / "RealESRGAN.pth"
    torch.save({"params_ema": published.rrdb("real-esrgan", blocks=1, seed=4)}, path)
    run = options(frames, tmp_path / "run", "real-esrgan", init=str(path), net=(), steps=1)
    report = train(run)
    tuned, theirs = (weights.load(each) for each in (report.last, path))
    assert tuned.arch == theirs.arch == "rrdb"
    pixels = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        off = (tuned.module(pixels) - theirs.module(pixels)).abs().max()
    assert 0 < float(off) < 0.02  # one small step, and half precision


def _norms(report: TrainReport) -> int:
    """Numbers of batch norms, less the biases that folding gives their convolutions."""
    del report
    return 3 * (8 + 8) - 3 * 8


@pytest.mark.parametrize("arch", GENERATORS)
def test_one_recipe_trains_every_network_and_the_file_names_both(
    arch: str, frames: Path, tmp_path: Path
) -> None:
    net = () if arch == "tiny" else NETS[arch]
    report = train(options(frames, tmp_path, "psnr", arch=arch, net=net, steps=1))
    metadata, _ = weights.read_file(report.last)
    assert metadata["recipe"] == "psnr"
    assert metadata["arch"] == GENERATORS[arch].arch
    size = {"features": 32, "layers": 8} if arch == "tiny" else dict(net)
    assert size.items() <= json.loads(metadata["hparams"]).items()


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("recipe", ["psnr", "real-esrgan"])
def test_other_scales_are_trained_too(
    recipe: str, scale: int, frames: Path, tmp_path: Path
) -> None:
    net = (*NETS["compact"], ("scale", scale))
    changes = {"arch": "compact", "net": net, "steps": 2, "patch": 24}
    report = train(options(frames, tmp_path, recipe, **changes))
    assert weights.load(report.last).scale == scale


def test_a_run_of_one_stage_may_be_asked_of_a_recipe_of_two(frames: Path, tmp_path: Path) -> None:
    run = options(frames, tmp_path, "real-esrgan", arch="compact", net=(), pixel_first=1.0)
    recipe = resolve(run)
    assert not recipe.is_gan
    assert (recipe.pixel, recipe.lr, recipe.best) == ("l1", 7e-4, "psnr")
    both = resolve(options(frames, tmp_path, "real-esrgan", arch="compact", net=(), lr=2e-4))
    assert (both.lr, both.pixel_lr) == pytest.approx((2e-4, 14e-4))


@pytest.mark.parametrize("name", FULL)
def test_full_size_networks_have_the_papers_size(name: str) -> None:
    module = ARCHS[ALL[name].arch].module(ALL[name].network)
    assert parameters_of(module) == pytest.approx(FULL[name], rel=0.01)


def test_minutes_end_a_run_and_drive_the_schedule(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on whenever it is looked at, once a step and now and then."""
    clock = count(step=0.02)

    def elapsed(_: Training) -> float:
        return next(clock)

    monkeypatch.setattr(Training, "elapsed", elapsed)
    run = options(frames, tmp_path, steps=None, minutes=5 / 60, validate_every=10**6)
    report = train(run)
    assert report.finished
    assert 5 <= report.seconds < 6
    assert 200 < report.step <= 250
    rates = [line["lr"] for line in read(report.out) if "losses" in line and line["lr"]]
    assert len(rates) == report.step // 50
    assert rates[-1] < 0.3 * max(rates)


def test_events_carry_pace_and_waiting(frames: Path, tmp_path: Path) -> None:
    report = train(options(frames, tmp_path, steps=3, workers=2))
    assert report.steps_per_second > 0
    assert 0 <= report.waiting < 1


def test_the_log_is_json_lines(frames: Path, tmp_path: Path) -> None:
    report = train(options(frames, tmp_path, steps=3))
    lines = (report.out / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [sorted(json.loads(line)) for line in lines] == [
        ["best", "metrics", "seconds", "step"],
        ["losses", "lr", "seconds", "step"],
        ["best", "metrics", "seconds", "step"],
    ]


def test_sizes_are_parsed_and_checked() -> None:
    assert parse_net("features=32, layers=8") == (("features", 32), ("layers", 8))
    assert parse_net(None) == ()
    with pytest.raises(OptionsError, match="not a size"):
        parse_net("features:32")
    with pytest.raises(OptionsError, match="no hyper-parameter blocks"):
        resolve(TrainOptions((Path(),), Path(), net=(("blocks", 2),)))


def test_weights_of_losses_are_parsed_and_taken() -> None:
    weights = parse_loss_weights("pixel=1, adversarial=3e-3")
    assert weights == (("pixel", 1.0), ("adversarial", 3e-3))
    recipe = resolve(TrainOptions((Path(),), Path(), recipe="srgan", loss_weights=weights))
    assert (recipe.pixel_weight, recipe.adversarial_weight) == (1.0, 3e-3)
    assert recipe.tone_weight == RECIPES["srgan"].tone_weight
    assert parse_loss_weights(None) is None
    for wrong in ("pixel", "pixel=much", ""):
        with pytest.raises(OptionsError, match="not a weight of a loss"):
            parse_loss_weights(wrong)


def test_summaries_are_one_line_each() -> None:
    for recipe in ALL.values():
        assert re.fullmatch(r"[^\n.]{20,90}", recipe.summary)
