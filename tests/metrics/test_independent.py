"""Every metric against an implementation of someone else's, on pictures of several kinds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import av
import av.filter
import av.logging
import cv2
import numpy as np
import pytest
import pytorch_msssim
import torch
from skimage import metrics as skimage_metrics
from torch import Tensor

from tests.conftest import picture
from vsr.color import SMPTE170M, ColorSpec, from_rgb, to_rgb
from vsr.metrics.picture import (
    luma,
    ms_ssim,
    psnr,
    psnr_rgb,
    rounded,
    sharpness,
    shaved,
    similarity,
    ssim,
    ssim_rgb,
)

theirs_of: Any = skimage_metrics  # it is not annotated
SIZE = (240, 208)
CLOSE = 1e-9  # float64 on both sides; only the order of sums differs


def original() -> Tensor:
    return torch.from_numpy(picture(*SIZE, 1.0)).permute(2, 0, 1).float() / 255


def blurred(pixels: Tensor) -> Tensor:
    return torch.from_numpy(cv2.GaussianBlur(pixels.permute(1, 2, 0).numpy(), (0, 0), 1.5)).permute(
        2, 0, 1
    )


def noisy(pixels: Tensor) -> Tensor:
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(1))
    return (pixels + 0.08 * noise).clamp(0, 1)


def blocky(pixels: Tensor) -> Tensor:
    small = pixels[:, ::4, ::4]
    return small.repeat_interleave(4, 1).repeat_interleave(4, 2)


KINDS = {"blurred": blurred, "noisy": noisy, "blocky": blocky}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shave", [0, 4])
def test_psnr_and_ssim_are_those_of_scikit_image(kind: str, shave: int) -> None:
    one, two = original(), KINDS[kind](original())
    gray = [shaved(luma(rounded(p)), shave).numpy() for p in (one, two)]
    color = [shaved(rounded(p), shave).permute(1, 2, 0).numpy() * 255 for p in (one, two)]
    window: dict[str, Any] = {
        "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255.0,
    }  # fmt: skip
    theirs = [
        theirs_of.peak_signal_noise_ratio(*gray, data_range=255.0),
        theirs_of.peak_signal_noise_ratio(*color, data_range=255.0),
        theirs_of.structural_similarity(*gray, **window),
        theirs_of.structural_similarity(*color, channel_axis=2, **window),
    ]
    ours = [metric(one, two, shave) for metric in (psnr, psnr_rgb, ssim, ssim_rgb)]
    assert ours == pytest.approx(theirs, abs=CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_ms_ssim_is_that_of_pytorch_msssim(kind: str) -> None:
    one, two = original(), KINDS[kind](original())
    planes = [luma(rounded(p))[None, None] for p in (one, two)]
    # At these sizes every scale has even sides: it pads odd ones with zeros, which darkens.
    theirs = pytorch_msssim.ms_ssim(*planes, data_range=255.0, size_average=True)  # pyright: ignore[reportUnknownVariableType]
    # Its float32 window sums to 1 within 6e-8, which 255 squared makes 4e-3 of a variance.
    assert ms_ssim(one, two, 0) == pytest.approx(float(theirs), abs=5e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_sharpness_is_the_variance_of_opencvs_laplacian(kind: str) -> None:
    two = KINDS[kind](original())
    theirs = cv2.Laplacian(luma(rounded(two)).numpy(), cv2.CV_64F, ksize=1)[1:-1, 1:-1].var()
    assert sharpness(two) == pytest.approx(float(theirs), rel=CLOSE)


def filtered(name: str, planes: list[tuple[Tensor, ...]]) -> str:
    """What FFmpeg's ``psnr`` or ``ssim`` filter logs of two 4:2:0 pictures."""
    graph = av.filter.Graph()
    height, width = planes[0][0].shape[-2:]
    args = f"video_size={width}x{height}:pix_fmt=yuv420p:time_base=1/25:pixel_aspect=1/1"
    sources = [graph.add("buffer", args=args, name=side) for side in ("main", "reference")]
    judge = graph.add(name, args="stats_file=-" if name == "psnr" else "")
    sink = graph.add("buffersink")
    for pad in (0, 1):
        sources[pad].link_to(judge, 0, pad)
    judge.link_to(sink)
    graph.configure()
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture(local=False) as lines:
            for number, (y, u, v) in enumerate(planes):
                frame = av.VideoFrame(width, height, "yuv420p")
                for index, plane in enumerate((y, u, v)):
                    flat = np.frombuffer(cast(memoryview, frame.planes[index]), np.uint8)
                    rows = flat.reshape(-1, frame.planes[index].line_size)
                    rows[:, : plane.shape[-1]] = plane[0].numpy()
                frame.pts = 0
                sources[number].push(frame)
                sources[number].push(None)
            sink.pull()
            sources.clear()
            del sink, judge, graph  # it tells when it is freed
    finally:
        av.logging.set_level(level)
    return " ".join(text for _, _, text in lines)


@pytest.mark.parametrize("kind", KINDS)
def test_luma_of_video_measures_as_ffmpegs_filters_do(kind: str) -> None:
    """Planes of the pictures as a 601 file would hold them: then Y is our luma, rounded."""
    spec = ColorSpec(matrix=SMPTE170M, range=1)
    planes = [from_rgb(p[None], spec) for p in (original(), KINDS[kind](original()))]
    said = filtered("psnr", planes)
    found = re.search(r"PSNR y:([\d.]+)", said)
    assert found is not None, said
    one, two = (p[0][0].double() for p in planes)
    ours = 10 * np.log10(255**2 / float((one - two).square().mean()))
    assert ours == pytest.approx(float(found[1]), abs=1e-5)  # it prints six decimals
    said = filtered("ssim", planes)
    found = re.search(r"SSIM Y:([\d.]+)", said)
    assert found is not None, said
    # Its window is 8x8 blocks without weights, every four pixels: near, not the same.
    assert similarity(one, two)[0] == pytest.approx(float(found[1]), abs=0.08)
    # And through RGB, as files are compared: clamping and rounding in RGB cost a little.
    rgb = [to_rgb(p, spec)[0].clamp(0, 1) for p in planes]
    assert psnr(rgb[0], rgb[1], 0) == pytest.approx(ours, abs=0.3)


@pytest.mark.parametrize("name", ["Set5"])
def test_a_real_set_of_pictures_measures_as_scikit_image_does(media: Path, name: str) -> None:
    folder = media.parent / "data" / "bench" / name
    for path in sorted((folder / "HR").iterdir()):
        high = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        low = cv2.imread(str(folder / "LR" / path.name), cv2.IMREAD_COLOR_RGB)
        assert high is not None
        assert low is not None
        large = cv2.resize(low, high.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        one, two = (torch.from_numpy(p).permute(2, 0, 1).float() / 255 for p in (large, high))
        assert psnr_rgb(one, two, 0) == pytest.approx(
            float(theirs_of.peak_signal_noise_ratio(large, high)), abs=CLOSE
        )
        theirs = theirs_of.structural_similarity(
            large, high, channel_axis=2, gaussian_weights=True, use_sample_covariance=False
        )
        assert ssim_rgb(one, two, 0) == pytest.approx(float(theirs), abs=CLOSE)
