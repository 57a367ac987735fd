"""Two processes over gloo learn what one learns with the doubled batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vsr
from tests import fork_server
from vsr.training.loop import train
from vsr.training.options import TrainOptions
from vsr.training.training_log import read
from vsr.weights import read_file

SCRIPT = """
import os
import sys
from pathlib import Path
from vsr.training import loop
from vsr.training.options import TrainOptions
loop.LOG_STEPS = 2
loop.train(TrainOptions(
    (Path(sys.argv[1]),), Path(sys.argv[2]), recipe="compact", steps=8, batch=int(sys.argv[3]),
    patch=12, device="cpu", dtype="fp32", net=(("features", 8), ("layers", 2)), validate_every=4,
    workers=1, vgg="none",
))
os._exit(0)  # as the command ends among torchrun's processes: gloo's threads outlive its group
"""
ALONE = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}


def learn(frames: Path, out: Path, processes: int, batch: int) -> None:
    """What ``torchrun`` starts: a process for each rank, which find each other at one port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ranks = [
        fork_server.start(
            [sys.executable, "-c", SCRIPT, str(frames), str(out), str(batch)],
            stderr=subprocess.PIPE,
            env={
                **os.environ, **ALONE, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                "WORLD_SIZE": str(processes), "RANK": str(rank), "LOCAL_RANK": str(rank),
            },
        )
        for rank in range(processes)
    ]  # fmt: skip
    for rank in ranks:
        _, said = rank.communicate(timeout=120)
        assert rank.wait() == 0, said


def test_two_processes_equal_one_with_the_doubled_batch(frames: Path, tmp_path: Path) -> None:
    for processes, batch in ((2, 2), (1, 4)):
        learn(frames, tmp_path / str(processes), processes, batch)
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
def test_the_command_runs_a_gan_in_two_processes(frames: Path, tmp_path: Path) -> None:
    """Of two stages, of which the first is without an adversary."""
    command = (
        "-m torch.distributed.run --standalone --nproc-per-node=2 "
        "-m vsr train --recipe real-esrgan --arch compact --net features=8,layers=2 --steps 10 "
        "--batch 2 --patch 12 --device cpu --dtype fp32 --workers 1 --vgg none --out"
    )
    result = subprocess.run(
        [sys.executable, *command.split(), str(tmp_path / "out"), str(frames)],
        env={**os.environ, **ALONE, "PYTHONPATH": str(Path(vsr.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
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
