"""Files from strangers: what they claim costs nothing until it was checked, and no code runs."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]  # no stubs

import vsr
from tests.conftest import MakeClip, times_of
from vsr.errors import MediaError, WeightsError

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
    run = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert "does not fit compact" in run.stdout, run.stderr


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
    command = [sys.executable, "-m", "vsr", "upscale", str(source), str(tmp_path / "out.mkv")]
    command += ["--codec", "hevc", "--model", "nearest", "--preset", "ultrafast"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
