"""Encoders are opened without asking more of the machine than other programs get."""

from __future__ import annotations

import os
from fractions import Fraction

import av
import pytest

from vsr.media.write.writer import open_encoder


def policies() -> set[int]:
    return {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="Linux's scheduler")
def test_no_encoder_makes_itself_a_real_time_process() -> None:
    context = av.CodecContext.create("libsvtav1", "w")
    context.width = context.height = 64
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
    context.options = {"preset": "13"}
    before = policies()
    open_encoder(context)
    assert policies() == before
    assert len(os.listdir("/proc/self/task")) > 1
    assert context.encode(None) == []
