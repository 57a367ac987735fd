"""``vsr.toml``: the flags that a person gives each time, by command and by profile.

    [upscale]                     # every `vsr upscale`
    crf = 18
    [profile.archive.upscale]     # `vsr upscale --profile archive`, beside those above
    crf = 12

The keys are the flags. The file of the working folder goes before that of the user's folder, a
profile before both, and a flag on the command line before all.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import typer

from vsr.errors import OptionsError
from vsr.system import is_special

NAME = "vsr.toml"
PROFILES = "profile"
_NEVER = {"help", "version", "profile", "install_completion", "show_completion"}
Table = Mapping[str, Any]
_VALIDATOR = {
    "Input should be a valid number": "must be a number",
    "Input should be a valid integer": "must be a whole number",
    "Input should be greater than or equal to": "must be at least",
    "Input should be less than or equal to": "must be at most",
}
"""How a message of typer's validator begins, and what is said in its place."""
# Contexts, commands and parameters are Any: typer vendors their types.


@dataclass(frozen=True, slots=True)
class Setting:
    """A flag's value for a command, and the file that says so."""

    command: tuple[str, ...]
    """The command's words, such as ("models", "get")."""
    flag: str
    """Its long name without dashes in front."""
    parameter: str
    """The name by which the command takes it."""
    value: object
    """As the command line would give it."""
    path: Path
    """The file of settings."""
    profile: str | None
    """The profile that it stands in; ``None`` outside of any."""


def places() -> tuple[Path, Path]:
    """Where the file is looked for: the user's folder, then the working folder, which wins."""
    return Path(typer.get_app_dir("vsr")) / NAME, Path(NAME)


def read(path: Path) -> Table:
    """A settings file; empty where there is none. Raises :class:`OptionsError`."""
    try:
        if is_special(path):
            raise OptionsError(f"{path} is a device, a pipe or a socket", hint="it is a TOML file")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionsError(
            f"the settings in {path} cannot be read: {error}", hint="it is a TOML file"
        ) from error


def profiles(table: Table) -> list[str]:
    """The names of a file's profiles."""
    found = table.get(PROFILES, {})
    return list(cast("dict[str, object]", found)) if isinstance(found, dict) else []


def settings(ctx: Any, profile: str | None) -> list[Setting]:
    """What the files say for the commands below ``ctx``'s, the stronger later.

    Raises :class:`OptionsError` for what is no flag, has no value of its kind, or is no profile.
    """
    tables = [(path, read(path)) for path in places()]
    known = sorted({name for _, table in tables for name in profiles(table)})
    if profile is not None and profile not in known:
        there = f"there are {', '.join(known)}" if known else f"no {NAME} has a profile"
        raise OptionsError(f"there is no profile {profile!r}: {there}", hint="see `vsr config`")
    found: list[Setting] = []
    for path, table in tables:
        plain = {key: value for key, value in table.items() if key != PROFILES}
        found += _settings(ctx, ctx.command, (), plain, path, None)
    for path, table in tables:
        for name in profiles(table):
            inside = _table(table[PROFILES][name], path, f"{PROFILES}.{name}")
            told = list(_settings(ctx, ctx.command, (), inside, path, name))  # checked in any case
            found += told if name == profile else []
    return found


def as_defaults(found: list[Setting]) -> dict[str, Any]:
    """Settings as a command line's nested defaults, by command and parameter."""
    defaults: dict[str, Any] = {}
    for setting in found:
        place = defaults
        for name in setting.command:
            place = place.setdefault(name, {})
        place[setting.parameter] = setting.value
    return defaults


def _settings(
    ctx: Any,
    command: Any,
    names: tuple[str, ...],
    table: Table,
    path: Path,
    profile: str | None,
) -> Iterator[Setting]:
    """The settings of one table: of a command, or of a group of them."""
    where = ".".join((*((PROFILES, profile) if profile else ()), *names))
    commands: dict[str, Any] = getattr(command, "commands", {})
    flags = {} if commands else _flags(command)
    for key, value in table.items():
        if key in commands:
            inside = _table(value, path, f"{where}.{key}".lstrip("."))
            yield from _settings(ctx, commands[key], (*names, key), inside, path, profile)
            continue
        flag = key.replace("_", "-")
        if flag not in flags:
            kind = "flag of `vsr " + " ".join(names) + "`" if names else "command"
            raise OptionsError(
                f"{path}: {key} is no {kind}",
                hint="its tables are the commands and its keys their flags, such as [upscale] "
                "and crf = 18",
            )
        checked = _checked(ctx, flags[flag], value, f"{path}: {key} of [{where}]")
        yield Setting(names, flag, flags[flag].name, checked, path, profile)


def _table(value: object, path: Path, name: str) -> Table:
    if not isinstance(value, dict):
        raise OptionsError(f"{path}: {name} is no table", hint=f"write [{name}], and flags below")
    return cast("dict[str, Any]", value)


def _flags(command: Any) -> dict[str, Any]:
    """A command's options by their long names without dashes."""
    return {
        name[2:]: parameter
        for parameter in command.params
        if parameter.param_type_name == "option" and parameter.name not in _NEVER
        for name in parameter.opts
        if name[:2] == "--"
    }


def _checked(ctx: Any, parameter: Any, value: object, place: str) -> object:
    """A value as the command line would have it. Raises :class:`OptionsError`."""
    switch = bool(parameter.is_flag)
    listed = type(value) is list
    if type(value) is dict or switch != (type(value) is bool) or listed > parameter.multiple:
        wanted = "true or false" if switch else "a list" if parameter.multiple else "one value"
        raise OptionsError(f"{place} has to be {wanted}, got {value!r}")
    given = _list(value) if parameter.multiple else value
    try:
        parameter.process_value(ctx, given)
    except typer.BadParameter as error:
        raise OptionsError(f"{place}: {told(error)}") from error
    return given


def told(error: typer.BadParameter) -> str:
    """What is wrong with a flag's value: in our words where typer has those of its validator."""
    message = error.message.removeprefix("Value error, ")
    for theirs, ours in _VALIDATOR.items():
        if message.startswith(theirs):
            problems: list[Any] = getattr(error.__cause__, "errors", list)()
            got = f", got {problems[0]['input']!r}" if problems else ""
            return f"{ours}{message.removeprefix(theirs).partition(',')[0]}{got}"
    return message


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else [value]
