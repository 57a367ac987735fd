"""Sources and targets as a person gives them: two places, several and a folder, or patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr.errors import MediaError, OptionsError


@dataclass(frozen=True, slots=True)
class Places:
    """What is to be made larger, and where to."""

    sources: list[Path]
    """Files and folders, patterns replaced by what they match."""
    target: Path | None
    """A file or a folder; ``None`` where nobody said."""
    several: bool
    """Whether the target is a folder that takes them all, however many there are."""


def is_pattern(path: Path) -> bool:
    """Whether a path is none that is there, and may stand for others."""
    return glob.has_magic(str(path)) and not os.path.exists(path)


def expanded(paths: Sequence[Path]) -> list[Path]:
    """Paths with every pattern replaced by what it matches, ``**`` being folders of any depth.

    A shell does so itself, unless the pattern was quoted; Windows' never does. Raises
    :class:`MediaError` for a pattern that matches nothing.
    """
    found: list[Path] = []
    for path in paths:
        if not is_pattern(path):
            found.append(path)
            continue
        matches = sorted(map(Path, glob.glob(str(path), recursive=True)))
        if not matches:
            raise MediaError(f"no file matches {path}", hint="check the pattern")
        found += matches
    return found


def sources_and_target(given: Sequence[Path], to: Path | None) -> Places:
    """The forms of the command: ``SOURCE``, ``SOURCE TARGET``, and ``SOURCE... --to FOLDER``.

    A quoted pattern counts as one place. Raises :class:`OptionsError` where the target is unclear.
    """
    if to is not None:
        return Places(expanded(given), to, several=True)
    if len(given) > 2:
        raise OptionsError(
            f"{len(given)} places were given, and a source has one target",
            hint="for several sources: vsr upscale SOURCE... --to FOLDER",
        )
    sources = expanded(given[:1])
    if len(given) < 2 and len(sources) > 1:
        raise OptionsError(
            f"{given[0]} matches {len(sources)} files, and there is no target for them",
            hint=f"vsr upscale '{given[0]}' FOLDER",
        )
    target = given[1] if len(given) > 1 else None
    folder = is_pattern(given[0]) and target is not None and not target.suffix
    return Places(sources, target, several=folder or len(sources) > 1)
