"""Training pairs made on a GPU: pictures lie there as bytes, and are cropped and shrunk there.

For the chain of damage that is shrinking and chroma alone. What is random is drawn on the host, in
the order and from the numbers of :class:`vsr.training.data.patches.PatchSource`: the pairs are the
same, within the rounding of a code value.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vsr.color import ColorSpec, from_rgb, to_rgb
from vsr.degrade.base import happens, margin_wanted
from vsr.degrade.chroma import ChromaSubsample, random_spec
from vsr.degrade.noise import Paint
from vsr.degrade.resize import Shrink
from vsr.errors import DataError
from vsr.media.read.rgb import read_rgb
from vsr.models.interpolation import cubic
from vsr.system import processors
from vsr.training.data.patches import Crop, PatchSource, Sampling, TrainingBatch, turned
from vsr.training.data.pictures import Cache, Picture


@dataclass(frozen=True, slots=True)
class Draw:
    """All that is random of one sample."""

    picture: int
    """Its number in the source's list."""
    crop: Crop
    """The square of it that is taken."""
    paint: Paint | None
    """What is painted on the square; ``None`` for nothing."""
    chroma: ColorSpec | None
    """The 4:2:0 planes that it goes through; ``None`` for none."""
    corner: tuple[int, int]
    """The patch's upper left corner, y then x, in low-resolution pixels of the square."""
    turn: int
    """Which of the eight symmetries of the square, 0..7: see :func:`turned`."""


class DeviceSource(PatchSource):
    """Batches by number, uint8 on ``device``, where all pictures lie."""

    def __init__(
        self, pictures: Sequence[Picture], sampling: Sampling, cache: Cache, device: torch.device
    ) -> None:
        super().__init__(pictures, sampling, cache)
        self._device = device
        self._sizes: list[tuple[int, int] | None] = []
        self._starts: list[int] = []
        with ThreadPoolExecutor(processors()) as pool:
            read_all = list(pool.map(_read, self.pictures))
        lines: list[Tensor] = []
        start = 0
        for picture, found in zip(self.pictures, read_all, strict=True):
            self._starts.append(start)
            if isinstance(found, DataError):
                self.leave_out(picture, found)
                self._sizes.append(None)
                continue
            self._sizes.append((found.shape[0], found.shape[1]))
            lines.append(torch.from_numpy(found).view(-1, 3).to(device))  # pyright: ignore[reportUnknownMemberType]
            start += found.shape[0] * found.shape[1]
        self._pixels = torch.cat(lines) if lines else torch.zeros(0, 3, dtype=torch.uint8)

    @staticmethod
    def suits(pictures: Sequence[Picture], sampling: Sampling, room: int) -> bool:
        """Whether the damage is of the kind that is made here, and ``room`` bytes hold all."""
        match sampling.chain:
            case (Shrink(detour=0), ChromaSubsample()):
                simple = sampling.reuse == 1 and not sampling.sharp
            case _:
                simple = False
        least = (sampling.patch + 2 * margin_wanted(sampling.chain)) * sampling.scale
        large = all(min(p.size.width, p.size.height) >= least for p in pictures)
        return simple and large and sum(picture.bytes for picture in pictures) <= room

    @torch.no_grad()
    def group(self, number: int) -> list[TrainingBatch]:
        """The batch of one step."""
        plan = self.sampling
        draws = [self._draw(number, plan.offset + place) for place in range(plan.batch)]
        high = self._clips(draws)
        low = self._spoilt(_shrunk(high, plan.scale), draws)
        pairs = (
            _patches(pixels, draws, plan.patch, scale)
            for pixels, scale in ((low, 1), (high, plan.scale))
        )
        return [TrainingBatch(*pairs)]

    def _draw(self, number: int, place: int) -> Draw:
        """In the order of ``PatchSource``."""
        plan = self.sampling
        rng = np.random.default_rng([plan.seed, number, place])

        def place_in(index: int) -> tuple[int, Crop]:
            size = self._sizes[index]
            if size is None:
                raise DataError(self.damaged[str(self.pictures[index].path)])
            return index, self.place(*size, rng)

        picture, crop = self.pick(rng, number * plan.total + place, place_in)
        paint = plan.specks.draw(crop.side, crop.side, rng)
        happens(0.0, rng)  # the shrink's detour
        chroma = random_spec(rng) if happens(_chance(plan), rng) else None
        _, y, x, turn = self.patch(crop.side // plan.scale, 1, rng)
        return Draw(picture, crop, paint, chroma, (y, x), turn)

    def _clips(self, draws: Sequence[Draw]) -> Tensor:
        """(n, side, side, 3) float32 code values: windows, shrunk a little, and painted."""
        side = draws[0].crop.side
        span = max(draw.crop.window for draw in draws)
        rows: list[tuple[int, ...]] = []
        for draw in draws:
            size, crop = self._sizes[draw.picture], draw.crop
            assert size is not None
            start = self._starts[draw.picture]
            rows.append((start, size[1], crop.top, crop.left, crop.window))
        numbers = self._up(torch.tensor(rows))
        start, width, top, left, window = numbers.unbind(1)
        along = torch.arange(span, device=self._device)
        inside = torch.minimum(along[None], window[:, None] - 1)  # beyond it nothing counts
        places = (start + top * width + left)[:, None, None]
        places = places + inside[:, :, None] * width[:, None, None] + inside[:, None, :]
        pixels = self._pixels[places].float()  # (n, span, span, 3)
        made = _resized(pixels, _weights(window, side, span))
        for number, draw in enumerate(draws):
            if draw.paint is not None:
                self._paint(made[number], draw.paint)
        return made

    def _paint(self, pixels: Tensor, paint: Paint) -> None:
        if paint.ground is not None:
            pixels.fill_(paint.ground)
        mask, colours = (self._up(torch.from_numpy(x)) for x in (paint.mask, paint.colours))  # pyright: ignore[reportUnknownMemberType]
        pixels.copy_(torch.where(mask[..., None], colours.float(), pixels))

    def _spoilt(self, low: Tensor, draws: Sequence[Draw]) -> Tensor:
        """Through planes of video, where that was drawn; (n, h, w, 3) in place."""
        for spec in {draw.chroma for draw in draws if draw.chroma is not None}:
            which = [number for number, draw in enumerate(draws) if draw.chroma == spec]
            chosen = self._up(torch.tensor(which))
            rgb = low[chosen].permute(0, 3, 1, 2) / 255
            back = to_rgb(from_rgb(rgb, spec), spec).clamp_(0, 1).mul_(255).round_()
            low[chosen] = back.permute(0, 2, 3, 1)
        return low

    def _up(self, values: Tensor) -> Tensor:
        """To the device, waiting for nothing."""
        if self._device.type != "cuda":
            return values.to(self._device)
        return values.pin_memory().to(self._device, non_blocking=True)


def _read(picture: Picture) -> np.ndarray | DataError:
    try:
        return read_rgb(picture.path)
    except DataError as error:
        return error


def _chance(plan: Sampling) -> float:
    (chroma,) = (kind for kind in plan.chain if isinstance(kind, ChromaSubsample))
    return chroma.chance


def _weights(window: Tensor, side: int, span: int) -> Tensor:
    """(n, side, span): what each of ``side`` samples is made of, of lines of (n,) lengths.

    Keys' cubic, stretched where it shrinks, as in :func:`vsr.degrade.resize.bicubic`.
    """
    scale = (window.double() / side)[:, None, None]
    centres = (torch.arange(side, device=window.device)[:, None] + 0.5) * scale
    places = torch.arange(span, device=window.device)
    near = cubic((places + 0.5 - centres) / scale.clamp(min=1))
    near = near * (places < window[:, None, None])
    return (near / near.sum(2, keepdim=True)).float()


def _resized(pixels: Tensor, weights: Tensor) -> Tensor:
    """(n, h, h, 3) to (n, w, w, 3) by (n or 1, w, h) weights, rounded to code values twice."""
    count, height = pixels.shape[:2]
    across = pixels.permute(0, 1, 3, 2).reshape(count, height * 3, -1)
    wide = (across @ weights.transpose(1, 2)).clamp_(0, 255).round_()
    down = wide.view(count, height, -1)  # rows of (channel, column)
    high = (weights @ down).clamp_(0, 255).round_()
    side = high.shape[1]
    return high.view(count, side, 3, side).permute(0, 1, 3, 2).contiguous()


def _shrunk(pixels: Tensor, scale: int) -> Tensor:
    """To 1 / ``scale`` of the size."""
    side = pixels.shape[1]
    window = torch.full((1,), side, device=pixels.device)
    return _resized(pixels, _weights(window, side // scale, side).expand(len(pixels), -1, -1))


def _patches(pixels: Tensor, draws: Sequence[Draw], patch: int, scale: int) -> Tensor:
    """(n, 3, p, p) uint8 of (n, side, side, 3): each one's patch, turned."""
    side, length = pixels.shape[1], patch * scale
    grid = np.arange(side * side).reshape(side, side)
    places = np.stack(
        [
            turned(grid[y * scale : y * scale + length, x * scale : x * scale + length], draw.turn)
            for draw in draws
            for y, x in (draw.corner,)
        ]
    )
    index = torch.from_numpy(places).flatten(1)  # pyright: ignore[reportUnknownMemberType]
    if pixels.is_cuda:
        index = index.pin_memory()
    index = index.to(pixels.device, non_blocking=True)[..., None].expand(-1, -1, 3)
    chosen = pixels.flatten(1, 2).gather(1, index).to(torch.uint8)
    return chosen.view(len(draws), length, length, 3).permute(0, 3, 1, 2)
