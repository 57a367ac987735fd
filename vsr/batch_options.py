"""How several files are found, named and gone through: frozen values. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vsr.errors import OptionsError
from vsr.option_fields import check_types, names_of, one_of, option

OnError = Literal["continue", "stop"]
Order = Literal["name", "size", "duration", "newest", "oldest"]


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How several files are found, named and gone through; see ``docs/guide/batch.md``."""

    recursive: bool = option(
        False, "Folders: look into folders; the tree is kept.", flag="recursive/-r", changes=False
    )
    include: tuple[str, ...] = option(
        (), "Folders: take only such names; repeatable.", "PATTERN", changes=False
    )
    """Patterns of names, or of paths below the input folder where they hold a slash."""
    exclude: tuple[str, ...] = option(
        (), "Folders: skip such names; repeatable.", "PATTERN", changes=False
    )
    name: str = option(
        "{stem}{suffix}",
        "Folders: names of targets, of {stem} {suffix} {extension} {width} {height} {scale} "
        "{model}.",
        "TEMPLATE",
        changes=False,
    )
    on_error: OnError = option(
        "continue",
        "Folders: what to do after a file that failed.",
        names_of(OnError),
        changes=False,
    )
    skip_broken: bool = option(
        False,
        "Folders: skip files that failed as damaged, until they change.",
        changes=False,
    )
    order: Order = option("name", "Folders: what goes first.", names_of(Order), changes=False)
    watch: bool = option(False, "Folders: go on with new files.", changes=False)
    """New files are taken once they stopped growing."""
    poll: float = option(5.0, "Folders: how often --watch looks.", "SECONDS", changes=False)

    def __post_init__(self) -> None:
        check_types(self)
        one_of("on-error", self.on_error, get_args(OnError))
        one_of("order", self.order, get_args(Order))
        if not 0 < self.poll <= 86400:
            raise OptionsError(f"poll must be above 0 seconds and at most a day, got {self.poll:g}")
