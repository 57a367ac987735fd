"""Tiny pictures, drawn here: texture, edges and colour, different each."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray


def drawn(seed: int, height: int = 128, width: int = 144) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = np.zeros((height, width, 3), np.float32)
    for _ in range(6):
        angle, period, phase = rng.uniform(0, np.pi), rng.uniform(5, 40), rng.uniform(0, 6)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + phase)
        picture += wave[..., None] * rng.uniform(-20, 20, 3)
    picture += 128
    for _ in range(8):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        colour = tuple(float(value) for value in rng.uniform(0, 255, 3))
        cv2.circle(picture, centre, int(rng.integers(3, 30)), colour, -1, cv2.LINE_AA)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight pictures of 144x128 px."""
    folder = tmp_path_factory.mktemp("frames")
    for seed in range(8):
        cv2.imwrite(str(folder / f"picture{seed}.png"), drawn(seed))
    return folder
