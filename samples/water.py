"""Ripple a reflection on harbour water. A scene above the water in, water out; no drawing.

The ripples are a tiling patch of waves that obey the dispersion relation of deep water
(J. Tessendorf, "Simulating Ocean Water", SIGGRAPH 2001), seen in perspective.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from canvas import SUPER, Pixels, Plane
from texture import smoothstep

TILE = 256  # samples along a side of a patch
FOCAL = 1100.0  # finished pixels
EYE_HEIGHT = 4.0  # metres
HORIZON = 400.0  # finished pixels from the top
LEVELS = (0.05, 0.2, 0.8, 3.2)  # metres that one fine row covers, for each prefiltered patch
BODY = np.array((24, 62, 66), np.float32)  # the water's own colour, RGB
SUN = np.array((255, 240, 214), np.float32)


class Patch:
    """A square of water, `metres` wide, that repeats without a seam."""

    def __init__(self, metres: float, steepness: float, *, seed: int) -> None:
        self.metres = metres
        generator = np.random.default_rng(seed)
        k = 2 * np.pi * np.fft.fftfreq(TILE, metres / TILE)
        self.across, self.along = np.meshgrid(k, k)
        size = np.hypot(self.across, self.along)
        size[0, 0] = 1.0
        wind = np.abs(0.45 * self.across + 0.89 * self.along) / size
        slope = size**-2.0 * np.exp(-((5 / (size * metres)) ** 2)) * (0.25 + wind**2)
        slope[0, 0] = 0.0
        phase = generator.uniform(0, 2 * np.pi, size.shape)
        self.start = slope / size * np.exp(1j * phase) * generator.rayleigh(1, size.shape)
        self.speed = np.sqrt(9.81 * size + 7.3e-5 * size**3)  # gravity and surface tension
        self.gain = 1.0
        across, along = self.slopes(0.0, 0.0)
        self.gain = steepness / float(np.sqrt((across**2 + along**2).mean()))

    def slopes(self, seconds: float, blur: float) -> tuple[Plane, Plane]:
        """Slopes across and along the view, averaged over what a pixel `blur` metres deep sees."""
        wide = np.sqrt(blur * EYE_HEIGHT / FOCAL)
        soft = np.exp(-0.5 * ((self.along * blur * 0.9) ** 2 + (self.across * wide * 0.9) ** 2))
        height = self.start * np.exp(1j * self.speed * seconds) * soft
        across = np.fft.ifft2(1j * self.across * height).real
        along = np.fft.ifft2(1j * self.along * height).real
        scale = self.gain * TILE**2
        return (across * scale).astype(np.float32), (along * scale).astype(np.float32)


class Sea:
    """The water below row `top` of a picture `width` x `height` (finished pixels)."""

    def __init__(self, width: int, height: int, top: float) -> None:
        self.top = round(top * SUPER)
        self.patches = (Patch(17.0, 0.010, seed=1), Patch(4.3, 0.005, seed=2))
        rows = np.arange(self.top, height * SUPER) / SUPER + 0.25
        self.columns = (np.arange(width * SUPER) / SUPER + 0.25 - width / 2).astype(np.float32)
        self.drop = (rows - HORIZON).astype(np.float32)  # finished pixels below the horizon
        self.depth = FOCAL * EYE_HEIGHT / self.drop  # metres from the eye
        footprint = self.depth**2 / (FOCAL * EYE_HEIGHT) / SUPER
        self.level = np.clip(np.log(footprint / LEVELS[0]) / np.log(4), 0, len(LEVELS) - 1)

    def frame(self, mirrored: Pixels, seconds: float, *, turn: float, travel: float) -> Pixels:
        """Ripple `mirrored` (the reflection in calm water, as large as the sea).

        `turn` is how many finished pixels the camera has panned, `travel` how many the bottom
        row has moved besides, because the camera itself has moved.
        """
        rate = np.float32(travel / self.drop[-1])
        scale = (self.depth / FOCAL)[:, None]
        x = (self.columns[None, :] + turn + rate * self.drop[:, None]) * scale
        across, along = self._slopes(x, seconds)
        v, u = np.indices(across.shape, dtype=np.float32)
        u += 2 * SUPER * across * self.drop[:, None]
        v += 2 * SUPER * FOCAL * along * np.float32(0.8)
        rippled = cv2.remap(mirrored, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        grazing = np.clip(self.drop[:, None] / FOCAL - 1.6 * along, 0.0, 1.0)
        mirror = np.clip(0.06 + 0.94 * (1 - grazing) ** 4.2, 0, 1)  # Fresnel, Schlick's form
        glint = smoothstep(0.034, 0.075, along - 0.4 * across) * np.float32(0.5)
        share = mirror[..., None]
        lit = np.asarray(rippled, np.float32) * share + BODY * (1 - share)
        lit += glint[..., None] * (SUN - lit)
        return np.clip(np.rint(lit), 0, 255).astype(np.uint8)

    def _slopes(self, x: Plane, seconds: float) -> tuple[Plane, Plane]:
        across, along = np.zeros_like(x), np.zeros_like(x)
        for patch in self.patches:
            u, v = _wrap(x, patch.metres), _wrap(self.depth, patch.metres)
            for index, blur in enumerate(LEVELS):
                weight = np.clip(1 - np.abs(self.level - index), 0, 1).astype(np.float32)
                used = np.flatnonzero(weight)
                if used.size == 0:
                    continue
                part = slice(int(used[0]), int(used[-1]) + 1)
                rows = np.ascontiguousarray(np.broadcast_to(v[part, None], u[part].shape))
                for total, plane in zip((across, along), patch.slopes(seconds, blur), strict=True):
                    seen = cv2.remap(
                        plane, u[part], rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
                    )
                    total[part] += np.asarray(seen, np.float32) * weight[part, None]
        return across, along


def _wrap(metres: npt.NDArray[np.float32], period: float) -> Plane:
    return np.asarray((metres * (TILE / period)) % TILE, np.float32)
