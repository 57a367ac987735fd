"""Planes come down as they were made, however long that takes. On a GPU beside its work."""

from __future__ import annotations

import pytest
import torch

from tests.infer.test_engine import upscaler
from vsr.color import ColorSpec
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.infer.footprint import Conversion
from vsr.infer.host_transfer import HostTransfer
from vsr.options import EngineOptions

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")
SPEC = ColorSpec(matrix=6)


def test_on_a_cpu_nothing_is_copied() -> None:
    planes = torch.arange(6).to(torch.uint8), torch.arange(3).to(torch.uint16)
    copies = HostTransfer(torch.device("cpu"))
    down = copies.down(tuple(copies.up(plane) for plane in planes)).wait()
    assert [plane.data_ptr() for plane in down] == [plane.data_ptr() for plane in planes]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_what_is_begun_is_what_is_enlarged(device: str) -> None:
    """Turns that overlap: each is waited for when the ones behind it have begun."""
    low = Size(96, 64)
    random = torch.Generator().manual_seed(2)
    clips = [
        tuple(
            torch.randint(0, 256, (3, plane.height, plane.width), generator=random).to(torch.uint8)
            for plane in SPEC.plane_sizes(low)
        )
        for _ in range(6)
    ]
    engine = Engine(upscaler("compact"), EngineOptions(device=device))
    begun = [engine.begin(clip, Conversion(SPEC, SPEC, low, low.scaled(4))) for clip in clips]
    engine.forget()
    for clip, pending in zip(clips, begun, strict=True):
        expected = engine.enlarge(clip, SPEC, SPEC, low.scaled(4))
        for plane, other in zip(pending.wait(), expected, strict=True):
            assert plane.device.type == "cpu"
            assert torch.equal(plane, other)
