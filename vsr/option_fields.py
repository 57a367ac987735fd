"""What an option is: a field of a dataclass that says all about its flag; and common checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, fields
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

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


_WORDS: dict[object, str] = {
    str: "a string", int: "a whole number", float: "a number", bool: "True or False",
    Path: "a Path", NoneType: "None",
}  # fmt: skip


def check_types(options: Any) -> None:
    """Raise :class:`OptionsError` where a field of a dataclass holds what its type does not allow.

    A whole number is taken for a number, and a list for a tuple; nothing is converted.
    """
    hints = _hints(cast("type[object]", type(options)))
    for each in fields(options):
        value = getattr(options, each.name)
        if not _fits(value, hints[each.name]):
            raise OptionsError(f"{each.name} must be {_said(hints[each.name])}, got {value!r}")


@cache
def _hints(kind: type[object]) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: object, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return isinstance(value, str)  # which one is looked at where the names are known
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return False
        items = list(cast("Sequence[object]", value))
        kinds = [inner[0]] * len(items) if inner[-1] is ... else list(inner)
        return len(kinds) == len(items) and all(map(_fits, items, kinds))
    if inner:
        return any(_fits(value, one) for one in inner)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def _said(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _WORDS[str]
    if origin is tuple:
        return "a tuple"
    return " or ".join(map(_said, inner)) if inner else _WORDS.get(hint, f"a {hint.__name__}")
