"""Two processes over gloo learn what one learns with the doubled batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vsr
from vsr.training.loop import train
from vsr.training.options import TrainOptions
from vsr.training.training_log import read
from vsr.weights import read_file

SCRIPT = """
import os
import sys
from pathlib import Path
from vsr.training import loop
from vsr.training.options import TrainOptions, parse_net
loop.LOG_STEPS = 2
recipe, net, batch = sys.argv[3], parse_net(sys.argv[4]), int(sys.argv[5])
loop.train(TrainOptions(
    (Path(sys.argv[1]),), Path(sys.argv[2]), recipe=recipe, steps=8, batch=batch, patch=12,
    device="cpu", dtype="fp32", net=net, validate_every=4, workers=1, vgg="none",
))
os._exit(0)  # as the command ends among torchrun's processes: gloo's threads outlive its group
"""


def launch(processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python alone, or by torchrun."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run(
        [sys.executable, *(torchrun if processes > 1 else []), *arguments],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            "PYTHONPATH": str(Path(vsr.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def test_two_processes_equal_one_with_the_doubled_batch(
    frames: Path, tmp_path: Path, script: Path
) -> None:
    net = "features=8,layers=2"
    for processes, batch in ((2, "2"), (1, "4")):
        folder = str(tmp_path / str(processes))
        result = launch(processes, str(script), str(frames), folder, "compact", net, batch)
        assert result.returncode == 0, result.stderr
    two, one = (
        [line["losses"]["pixel"] for line in read(tmp_path / name) if "losses" in line]
        for name in ("2", "1")
    )
    assert len(one) == len(two) == 4
    # The same samples and the same mean; sums in another order differ in the last float32 digits.
    torch.testing.assert_close(torch.tensor(two), torch.tensor(one), rtol=1e-4, atol=1e-6)
    weights = [read_file(tmp_path / name / "last.safetensors")[1] for name in ("2", "1")]
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key], rtol=5e-3, atol=5e-4)
    steps = [line["step"] for line in read(tmp_path / "2")]
    assert steps == sorted(steps)  # one process speaks, not two


@pytest.mark.extended
@pytest.mark.parametrize(
    "recipe",
    [
        "compact-gan",
        "real-esrgan --arch compact",
    ],
)
def test_the_command_runs_a_gan_in_two_processes(recipe: str, frames: Path, tmp_path: Path) -> None:
    command = (
        f"-m vsr train --recipe {recipe} --net features=8,layers=2 --steps 10 --batch 2 "
        "--patch 12 --device cpu --dtype fp32 --workers 1 --vgg none --out"
    )
    result = launch(2, *command.split(), str(tmp_path / "out"), str(frames))
    assert result.returncode == 0, result.stderr
    lines = [line for line in read(tmp_path / "out") if "losses" in line]
    assert lines[-1]["step"] == 10
    assert "adversarial" in lines[-1]["losses"]


def test_alone_nothing_is_connected(frames: Path, tmp_path: Path) -> None:
    options = TrainOptions(
        (frames,), tmp_path, steps=1, batch=2, patch=12, device="cpu", dtype="fp32",
        net=(("features", 8), ("layers", 1)), workers=0, vgg="none",
    )  # fmt: skip
    report = train(options)
    assert report.finished
    assert not torch.distributed.is_initialized()
