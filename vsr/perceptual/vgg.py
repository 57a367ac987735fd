"""VGG19, whose features are compared (Simonyan & Zisserman, ICLR 2015): three layouts of weights.

``torchvision``: the published ImageNet network, pixels normalised by mean and deviation, zero
padding. ``normalised``: the Caffe network whose filters were rescaled to a mean activation of 1
(Gatys et al. 2016), reflection padding. ``distilled``: a 16-times narrower one (Wang et al., CVPR
2020) whose 1x1 convolutions predict the full maps. Layers are named as in SRGAN: "5_4" is the
fourth convolution of the fifth stage, after its activation; "conv5_4" before it, as in ESRGAN.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsr.errors import WeightsError
from vsr.metrics.perceptual import perceptual_distance
from vsr.system import sha256_of
from vsr.weights import read_file

PUBLISHED = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
PREFIX = "dcbb9e9d"
"""torchvision's VGG19_Weights.IMAGENET1K_V1; the end of its name is the start of its SHA-256."""
STAGES = (2, 2, 4, 4, 4)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def conv_names() -> list[str]:
    """ "1_1", "1_2", "2_1" ... "5_4", in order."""
    return [
        f"{stage}_{number}"
        for stage, count in enumerate(STAGES, 1)
        for number in range(1, count + 1)
    ]


def feature_index(name: str) -> int:
    """Where torchvision's ``features`` holds a convolution: "1_1" is 0, "5_4" is 34."""
    stage, number = (int(part) for part in name.split("_"))
    return sum(2 * count + 1 for count in STAGES[: stage - 1]) + 2 * (number - 1)


class Vgg(nn.Module):
    """(n, 3, h, w) RGB 0..1 and names of layers, to their maps (n, c, h', w'). Frozen."""

    def __init__(
        self,
        layout: str,
        before: nn.Module,
        convolutions: Mapping[str, nn.Conv2d],
        predictors: Mapping[str, nn.Conv2d] | None = None,
    ) -> None:
        super().__init__()
        self.layout, self.before = layout, before
        self.convolutions = nn.ModuleDict(dict(convolutions))
        self.predictors = nn.ModuleDict(dict(predictors or {}))
        self.eval().requires_grad_(False)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that can be asked for."""
        return tuple(self.predictors or self.convolutions)

    def forward(self, pixels: Tensor, names: Sequence[str]) -> list[Tensor]:
        """The maps in the order of ``names``; nothing behind the last is computed."""
        maps: dict[str, Tensor] = {}
        x = self.before(pixels)
        stage = "1"
        for name, convolution in self.convolutions.items():
            if name[0] != stage:
                x, stage = functional.max_pool2d(x, 2), name[0]
            if self.layout != "torchvision":
                x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
            before = convolution(x)
            if f"conv{name}" in names:
                maps[f"conv{name}"] = before
            x = before.relu()
            if name in names:
                maps[name] = self.predictors[name](x).relu() if name in self.predictors else x
            if len(maps) == len(set(names)):
                break
        return [maps[name] for name in names]


class _Normalise(nn.Module):
    """To zero mean and unit deviation of ImageNet."""

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, h, w) 0..1 to the same, normalised."""
        return (pixels - self.get_buffer("mean")) / self.get_buffer("deviation")


def load_vgg(choice: str) -> Vgg | None:
    """``auto``: the published network, downloaded once; ``none``: nothing; else a path.

    Raises :class:`WeightsError` when it cannot be had.
    """
    if choice == "none":
        return None
    path = _downloaded() if choice == "auto" else Path(choice)
    if not os.path.isfile(path):
        raise WeightsError(f"there is no VGG file {path}", hint="--vgg takes auto, none, or a path")
    return from_state(read_file(path)[1], str(path))


def compared_layers(vgg: Vgg) -> list[str]:
    """The layers that a perceptual distance compares: one a stage, of those that the net offers."""
    return [name for name in vgg.layers if name in ("1_2", "2_2", "3_1", "4_1", "5_1")]


def vgg_distance(made: Tensor, high: Tensor, vgg: Vgg) -> float:
    """The perceptual distance of two (1, 3, h, w) pictures by every layer the net offers."""
    device = next(vgg.parameters()).device
    layers = compared_layers(vgg)
    return perceptual_distance(
        made[0].to(device), high[0].to(device), lambda pixels: vgg(pixels, layers)
    )


def _downloaded() -> Path:
    """The published file in torch's cache, downloaded where it is not there.

    Its name holds the first eight digits of its SHA-256, which the download is held to. All of them
    are noted beside it then, and compared each time: a file that was altered is not loaded.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / PUBLISHED.rpartition("/")[2]
    note = path.with_name(f"{path.name}.sha256")
    try:
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(PUBLISHED, str(path), hash_prefix=PREFIX, progress=False)
            note.unlink(missing_ok=True)
        digest = sha256_of(path)
        if not note.is_file() and digest.startswith(PREFIX):
            note.write_text(f"{digest}\n", encoding="ascii")
        wanted = note.read_text(encoding="ascii").strip() if note.is_file() else PREFIX
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"VGG19 cannot be downloaded from {PUBLISHED}: {error}",
            hint="give a file with --vgg PATH, or train on pixels alone with --vgg none",
        ) from error
    if digest != wanted:
        raise WeightsError(
            f"{path} is not the file that was published (sha256 {digest[:12]}…, expected "
            f"{wanted[:12]}…)",
            hint="delete it and the .sha256 beside it to download it again",
        )
    return path


def from_state(state: Mapping[str, Tensor], source: str) -> Vgg:
    """The network of a state dict, whichever layout it has."""
    try:
        if "conv0.weight" in state:
            names = [n for n in conv_names() if f"conv{n.replace('_', '')}.weight" in state]
            plain = {n: _conv(state, f"conv{n.replace('_', '')}", 1) for n in names}
            auxiliary = {
                n: _conv(state, f"conv{n.replace('_', '')}_aux", 0)
                for n in names
                if f"conv{n.replace('_', '')}_aux.weight" in state
            }
            # Its convolutions are padded by reflection in forward(), not here.
            return Vgg("distilled", _conv(state, "conv0", 0), _unpadded(plain), auxiliary)
        names = [n for n in conv_names() if f"features.{feature_index(n)}.weight" in state]
        if not names:
            raise KeyError("features.0.weight")
        plain = {n: _conv(state, f"features.{feature_index(n)}", 1) for n in names}
        if "pre.weight" in state:
            return Vgg("normalised", _conv(state, "pre", 0), _unpadded(plain))
        return Vgg("torchvision", _Normalise(), plain)
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"{source} holds no VGG19 that is known: no {error}",
            hint="torchvision's, or one of the layouts in docs/guide/training.md",
        ) from error


def _conv(state: Mapping[str, Tensor], name: str, padding: int) -> nn.Conv2d:
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    filters, channels, kernel = weight.shape[0], weight.shape[1], weight.shape[2]
    layer = nn.Conv2d(channels, filters, kernel, padding=padding)
    layer.weight, layer.bias = nn.Parameter(weight.float()), nn.Parameter(bias.float())
    return layer


def _unpadded(layers: Mapping[str, nn.Conv2d]) -> Mapping[str, nn.Conv2d]:
    for layer in layers.values():
        layer.padding = (0, 0)
    return layers
