"""Make the sound of the samples. Plain arithmetic: (2, n) float32, left and right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from encode import SAMPLE_RATE, Sound

Wave = npt.NDArray[np.float64]  # (n,)


def harbour_sound(seconds: float) -> Sound:
    """Water against the quay, different on each side; a gull on the left, a bell on the right."""
    time = _clock(seconds)
    left = _water(time, 1, 0.55) + 0.16 * _gull(time, 0.5) + 0.10 * _gull(time, 0.85)
    right = _water(time, 2, 0.80) + 0.22 * _bell(time, 0.9) + 0.03 * _gull(time, 0.52)
    return _stereo(left, right)


def chart_sound(seconds: float) -> Sound:
    """A beep of 80 ms on each second: 1 kHz on the left, 1.5 kHz on the right."""
    time = _clock(seconds)
    since = time % 1.0
    ramp = np.clip(np.minimum(since, 0.08 - since) / 0.004, 0, 1)
    left = 0.35 * ramp * np.sin(2 * np.pi * 1000 * time)
    right = 0.25 * ramp * np.sin(2 * np.pi * 1500 * time)
    return _stereo(left, right)


def _clock(seconds: float) -> Wave:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _water(time: Wave, seed: int, pace: float) -> Wave:
    generator = np.random.default_rng(seed)
    spectrum = np.fft.rfft(generator.normal(0, 1, time.size))
    pitch = np.fft.rfftfreq(time.size, 1 / SAMPLE_RATE)
    spectrum *= 1 / (1 + (pitch / 420) ** 1.6) * (pitch > 60)
    noise = np.fft.irfft(spectrum, time.size)
    swell = 0.45 + 0.55 * np.sin(np.pi * pace * time + seed) ** 2
    return 0.07 * swell * noise / float(noise.std())


def _gull(time: Wave, start: float) -> Wave:
    since = np.clip(time - start, 0, None)
    pitch = 1250 + 700 * np.exp(-since * 7) - 900 * since
    voice = np.cumsum(2 * np.pi * pitch / SAMPLE_RATE)
    cry = np.sin(voice) + 0.5 * np.sin(2 * voice) + 0.25 * np.sin(3 * voice)
    return cry * np.clip(since / 0.02, 0, 1) * np.exp(-since * 9)


def _bell(time: Wave, start: float) -> Wave:
    since = np.clip(time - start, 0, None)
    partials = ((1.0, 1.0, 2.2), (2.01, 0.6, 3.4), (2.76, 0.4, 5.0), (5.4, 0.2, 9.0))
    ring = np.zeros_like(since)
    for ratio, level, decay in partials:
        ring += level * np.sin(2 * np.pi * 523 * ratio * since) * np.exp(-since * decay)
    return ring * np.clip(since / 0.003, 0, 1)


def _stereo(left: Wave, right: Wave) -> Sound:
    return np.clip(np.stack([left, right]), -1, 1).astype(np.float32)
