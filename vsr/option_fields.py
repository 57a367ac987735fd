"""What an option is: a field of a dataclass that says all about its flag; and common checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, get_args

from vsr.errors import OptionsError
from vsr.units import binary


def option(
    default: Any,
    sentence: str,
    metavar: str | None = None,
    *,
    flag: str | None = None,
    parse: Callable[[Any], Any] | None = None,
    changes: bool = True,
) -> Any:
    """A field that is an option.

    ``metavar`` is what stands for its value in the help, ``flag`` its name on the command line
    where that is not the field's, ``parse`` makes the value of what is written there. An option
    that ``changes`` nothing is about the run: the target's bytes do not depend on it.
    """
    about = {"help": sentence, "metavar": metavar, "flag": flag, "parse": parse, "changes": changes}
    return field(default=default, metadata=about)


def names_of(literal: Any) -> str:
    """The values of a ``Literal``, as a help shows them."""
    return "|".join(get_args(literal))


def at_least(name: str, value: int | None, least: int, shown: str | None = None) -> None:
    """Raise :class:`OptionsError` for a number below ``least``."""
    if value is not None and value < least:
        got = value if shown is None else binary(value)
        raise OptionsError(f"{name} must be at least {shown or least}, got {got}")


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise :class:`OptionsError` for what is none of the known names."""
    if value not in known:
        raise OptionsError(f"there is no {name} {value!r}", hint=f"one of {', '.join(known)}")


def not_negative(name: str, value: float | None) -> None:
    """Raise :class:`OptionsError` for a number below 0, or for none at all."""
    if value is not None and not 0 <= value < float("inf"):
        raise OptionsError(f"{name} must not be negative, got {value:g}")
