"""The usual way to upscale a video: frame by frame, one thing after the other. To measure against.

Decode to packed RGB, the network as the paper writes it, fp16 on a GPU and fp32 on a CPU, the whole
frame converted on the CPU, packed RGB to the encoder. As in the scripts that come with most models.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream
from torch import Tensor, nn
from torch.nn import functional

from vsr.geometry import Size
from vsr.models.srresnet import SRResNet

Picture = np.ndarray  # (h, w, 3) uint8 RGB


class TextbookSRResNet(nn.Module):
    """The paper's order: both shuffles first, then the 9x9 convolution on the enlarged picture."""

    def __init__(self, network: SRResNet) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, h, w) RGB 0..1 to (n, 3, h * scale, w * scale)."""
        net = self.network
        x = net.head(pixels.to(net.tail.weight.dtype))
        x = net.enlarge(x + net.join(net.blocks(x)))
        return functional.conv2d(x, net.tail.weight, net.tail.bias, padding=4)


def textbook(module: nn.Module) -> nn.Module | None:
    """The module as its paper writes it, or ``None`` where ours is written the same."""
    return TextbookSRResNet(module) if isinstance(module, SRResNet) else None


def by_network(module: nn.Module, device: torch.device) -> Callable[[Picture], Picture]:
    """One picture at a time through the network."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    network = copy.deepcopy(textbook(module) or module).to(device, dtype).eval()

    @torch.no_grad()
    def enlarge(picture: Picture) -> Picture:
        pixels = torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32) / 255)
        made = network(pixels[None].to(device, dtype))[0].float().clamp_(0, 1).cpu().numpy()
        return np.ascontiguousarray((made.transpose(1, 2, 0) * 255).round().astype(np.uint8))

    return enlarge


def upscale_as_usual(
    source: Path, target: Path, enlarge: Callable[[Picture], Picture], preset: str
) -> int:
    """Decode, enlarge, encode, frame after frame on one thread. Returns how many there were."""
    frames = 0
    with av.open(str(source)) as reading, av.open(str(target), "w") as writing:
        stream = reading.streams.video[0]
        made: VideoStream | None = None
        for frame in reading.decode(stream):
            picture = enlarge(frame.to_ndarray(format="rgb24"))
            if made is None:
                made = _stream(writing, stream, Size(picture.shape[1], picture.shape[0]), preset)
            packed = av.VideoFrame.from_ndarray(picture, format="rgb24")
            writing.mux(made.encode(packed.reformat(format="yuv420p")))
            frames += 1
        if made is not None:
            writing.mux(made.encode(None))
    return frames


def scaled_by_swscale(source: Path, target: Path, scale: int, preset: str) -> int:
    """The floor: FFmpeg's own bicubic scaler, as a player or ffmpeg's -vf scale does it."""
    frames = 0
    with av.open(str(source)) as reading, av.open(str(target), "w") as writing:
        stream = reading.streams.video[0]
        size = Size(stream.width, stream.height).scaled(scale)
        made = _stream(writing, stream, size, preset)
        for frame in reading.decode(stream):
            large = frame.reformat(size.width, size.height, "yuv420p", interpolation="BICUBIC")
            large.pict_type = PictureType.NONE
            writing.mux(made.encode(large))
            frames += 1
        writing.mux(made.encode(None))
    return frames


def _stream(writing: OutputContainer, like: VideoStream, size: Size, preset: str) -> VideoStream:
    options = {"preset": preset, "crf": "17"}
    made = writing.add_stream("libx264", like.average_rate, options)
    made.width, made.height, made.pix_fmt = size.width, size.height, "yuv420p"
    return made
