"""Which model ``auto`` means: by what a source is, what its codec left of it, and the device.

The answer follows from the source file and the kind of device alone, so that whoever asks, and
whoever asks again to go on with a run, gets the same. What was measured to make the tables stands
in ``docs/guide/models.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vsr.media.condition import Condition, condition_of
from vsr.models.arch import Upscaler
from vsr.weights import index

Kind = Literal["video", "picture"]
State = Literal["clean", "compressed", "noisy", "unknown"]

CLEAN_STEP: dict[Kind, float] = {"video": 6.5, "picture": 4.5}
"""Code values: those of x264 at CRF 16, and of JPEG at quality 87. Of 30 photographs shrunk by
four, `compact` is 0.14 dB ahead of `compact-video` at quality 92, and 0.22 dB behind it at 85. In
videos `compact` is up to there 0.2 dB behind `video` at most, and on smooth ones up to 1 dB ahead.
"""
CLEAN_SHARE = 0.95
"""Of what JPEG of quality 90 takes: the key frames of x265 at CRF 16, which tells no step."""
BLOCKY: dict[Kind, float] = {"video": 1.5, "picture": 1.35}
"""Blockiness of what an earlier, stronger compression left: JPEG below quality 75, MPEG-2 at 10."""
CROSSING = 1.08
"""Blockiness of the weaker direction: blocks have edges in both, lines of text in one. Of
pictures that were JPEG of quality 30, both find 94 of 100, and of 300 pages of text none."""
NOISY = 3.8
"""Code values. Of 96 training photographs shrunk by four, `compact-video` is nearer to the original
than `compact` on four of five with noise of 4 added, by 1.1 dB, and on none without, by -0.9 dB.
97 of 100 of the former have more, and 9 of the latter, which are texture all over."""
LARGE_PIXELS = 1280 * 720
"""Above it, a CPU takes seconds a frame with any but the quickest."""

TABLE: dict[tuple[Kind, bool], tuple[str, ...]] = {
    ("video", True): ("compact",),
    ("video", False): ("video",),
    ("picture", True): ("compact",),
    ("picture", False): ("compact-video",),
}
"""Models by kind of source and whether it is clean: the first that is shipped."""
QUICK: dict[bool, tuple[str, ...]] = {True: ("tiny",), False: ("video-tiny", "video")}
"""The same for large videos on a CPU."""
USUAL = TABLE["picture", True][0]
"""What ``auto`` means where there is no source to look at."""
WORDS = {
    "clean": "clean",
    "compressed": "compressed",
    "noisy": "noisy",
    "unknown": "of unknown quality",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A model's name, and why it was chosen."""

    model: str
    """A shipped model's name, or what the person gave: a name or the path of a weights file."""
    why: str = ""
    """What was seen of the source, as a phrase for people; empty where a person named the model."""

    def __str__(self) -> str:
        return f"model {self.model}: {self.why} (--model NAME takes another: vsr models list)"


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A choice with its upscaler loaded."""

    upscaler: Upscaler
    """The chosen model, with the models that run after it."""
    choice: Choice
    """The model's name and the reason."""


def default_for(model: str) -> list[str]:
    """The kinds of source that a model is chosen for, in words."""
    usual = [
        f"{'clean' if clean else 'compressed'} {kind}s"
        for (kind, clean), names in TABLE.items()
        if names[0] == model
    ]
    quick = [
        f"large {'clean' if clean else 'compressed'} videos on a CPU"
        for clean, names in QUICK.items()
        if names[0] == model
    ]
    return usual + quick


def choose(
    kind: Kind, condition: Condition | None, *, pixels: int = 0, on_cpu: bool = False
) -> Choice:
    """By the tables, from what was seen of a source and its size in pixels."""
    state, told = judged(kind, condition)
    names: Sequence[str] = TABLE[kind, state == "clean"]
    what = f"a {kind}, {WORDS[state]} ({told})"
    if kind == "video" and on_cpu and pixels > LARGE_PIXELS:
        names = QUICK[state == "clean"]
        what += ", large for a CPU"
    shipped = index()
    return Choice(next((name for name in names if name in shipped), names[-1]), what)


def judged(kind: Kind, condition: Condition | None) -> tuple[State, str]:
    """What state a source is in, and by which figure."""
    if condition is None:
        return "unknown", "too little of it can be seen"
    name = condition.codec
    if condition.noise > NOISY:
        return "noisy", f"noise of {condition.noise:.0f} of 255"
    if condition.step is not None and condition.step > CLEAN_STEP[kind]:
        return "compressed", f"{name}, quantiser step {condition.step:.0f} of 255"
    if condition.share is not None and condition.share < CLEAN_SHARE:
        return "compressed", f"{name}, key frames of {condition.share:.1f} times good JPEG's size"
    if condition.blockiness > BLOCKY[kind] and condition.crossing > CROSSING:
        return "compressed", f"{name}, blocks {condition.blockiness:.1f} times as steep as the rest"
    if condition.step is not None:
        return "clean", f"{name}, quantiser step {condition.step:.0f} of 255"
    if condition.share is not None:
        return "clean", f"{name}, key frames of {condition.share:.1f} times good JPEG's size"
    return "clean", f"{name}, no blocks"


def choice_for(source: Path, kind: Kind, *, on_cpu: bool, allow_huge: bool = False) -> Choice:
    """The model for a file or a folder of frames, which is opened and looked at."""
    condition = condition_of(source, allow_huge=allow_huge)
    pixels = 0 if condition is None else condition.pixels
    return choose(kind, condition, pixels=pixels, on_cpu=on_cpu)
