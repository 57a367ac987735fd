"""Pairs made where the network is are those that the host makes, within rounding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.test_data import CLEAN, REAL, SHRINK, VIDEO
from vsr.degrade.noise import Specks
from vsr.degrade.resize import bicubic
from vsr.errors import DataError
from vsr.media.read.rgb import files_in
from vsr.media.suffixes import TRAINING_PICTURE_SUFFIXES
from vsr.training.data.loader import Loader
from vsr.training.data.patches import PatchSource, Sampling
from vsr.training.data.pictures import Cache, scan
from vsr.training.device_data import DeviceSource, _resized, _weights  # pyright: ignore[reportPrivateUsage]
from vsr.training.network.ema import Ema

CPU = torch.device("cpu")
PAINTED = replace(CLEAN, batch=6, specks=Specks(chance=0.5))


def sources(frames: Path, sampling: Sampling) -> tuple[PatchSource, DeviceSource]:
    pictures, _ = scan(files_in([frames], TRAINING_PICTURE_SUFFIXES), 48)
    return (
        PatchSource(pictures, sampling, Cache(1 << 24)),
        DeviceSource(pictures, sampling, Cache(1 << 24), CPU),
    )


@pytest.mark.parametrize("sampling", [CLEAN, PAINTED, replace(PAINTED, shrink=(1.0, 1.0), seed=9)])
def test_pairs_are_those_of_the_host(frames: Path, sampling: Sampling) -> None:
    host, device = sources(frames, sampling)
    unlike = 0.0
    for number in range(12):
        (wanted,), (made,) = host.group(number), device.group(number)
        assert made.real is None
        for one, two in ((wanted.low, made.low), (wanted.high, made.high)):
            assert one.shape == two.shape
            assert two.dtype == torch.uint8
            off = (one.int() - two.int()).abs()
            # A code value where the host's whole numbers round otherwise; chroma is made of that.
            assert off.max() <= 2
            unlike = max(unlike, off.float().mean().item())
    assert unlike < 0.05


@pytest.mark.parametrize("window", [48, 50, 77, 96])
def test_shrinking_is_that_of_the_host(window: int) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (1, window, window, 3), dtype=np.uint8)
    wanted = bicubic(pixels, 48, 48)
    given = torch.zeros(1, 96, 96, 3)
    given[:, :window, :window] = torch.from_numpy(pixels)
    made = _resized(given, _weights(torch.tensor([window]), 48, 96)).numpy()
    off = np.abs(made - wanted)
    assert off.max() <= 1
    assert off.mean() < 0.02
    assert (window == 48) <= bool((off == 0).all())


def test_what_is_damaged_is_left_out_alike(frames: Path, tmp_path: Path) -> None:
    for path in frames.iterdir():
        data = path.read_bytes()
        whole = len(data) if path.name != "picture3.png" else 2000
        (tmp_path / path.name).write_bytes(data[:whole])
    host, device = sources(tmp_path, CLEAN)
    for number in range(12):
        (wanted,), (made,) = host.group(number), device.group(number)
        assert (wanted.high.int() - made.high.int()).abs().max() <= 1
    assert set(host.damaged) == set(device.damaged) == {str(tmp_path / "picture3.png")}
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="could not be read"):
        sources(tmp_path, CLEAN)[1].group(0)


def test_only_what_is_made_alike_is_made_there(frames: Path) -> None:
    pictures, _ = scan(files_in([frames], TRAINING_PICTURE_SUFFIXES), 48)
    room = sum(picture.bytes for picture in pictures)
    assert DeviceSource.suits(pictures, CLEAN, room)
    assert not DeviceSource.suits(pictures, CLEAN, room - 1)
    assert not DeviceSource.suits(pictures, replace(CLEAN, patch=32), room)  # larger than some
    assert not any(
        DeviceSource.suits(pictures, other, room)
        for other in (VIDEO, REAL, replace(CLEAN, sharp=True), replace(CLEAN, chain=SHRINK))
    )


def test_every_step_has_one_shape_and_threads_change_nothing(frames: Path) -> None:
    _, device = sources(frames, PAINTED)
    with Loader(device, workers=3) as several, Loader(device, workers=0) as one:
        for _, first, second in zip(range(8), several, one, strict=False):
            assert first.low.shape == (6, 3, 12, 12)
            assert first.high.shape == (6, 3, 48, 48)
            assert torch.equal(first.low, second.low)
            assert torch.equal(first.high, second.high)


def test_an_average_takes_over_all_statistics_at_once() -> None:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
    )
    ema = Ema(net, 0.9)
    net(torch.rand(2, 3, 9, 9))
    ema.update(net)
    for kept, fresh in zip(ema.average.buffers(), net.buffers(), strict=True):
        assert torch.equal(kept, fresh)
        assert kept.data_ptr() != fresh.data_ptr()
    Ema(nn.Conv2d(3, 3, 1), 0.9).update(nn.Conv2d(3, 3, 1))  # which has none
