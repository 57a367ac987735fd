"""Short names for what is compared, no two alike. Opens no file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vsr.models.arch import Upscaler


def labels(paths: list[Path]) -> list[str]:
    """A short name for each path: the file's own, with folders before it where two are the same.

    A path that comes again is numbered.
    """
    depth = max(len(path.parts) for path in paths)
    different = len(set(paths))
    for parts in range(1, depth + 1):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == different:
            break
    else:
        names = [str(path) for path in paths]
    seen = [names[:place].count(name) for place, name in enumerate(names)]
    return [
        f"{name} ({times + 1})" if times else name for name, times in zip(names, seen, strict=True)
    ]


def labelled(models: Sequence[str], load: Callable[[str], Upscaler]) -> dict[str, Upscaler]:
    """Models by a short name each; files of one name have their folders before it."""
    loaded = {model: load(model) for model in models}
    paths = [
        Path(
            f"auto ({upscaler.name})"
            if model == "auto"
            else model.removesuffix(".safetensors").removesuffix(".pth")
        )
        for model, upscaler in loaded.items()
    ]
    return dict(zip(labels(paths), loaded.values(), strict=True))
