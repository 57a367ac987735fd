"""Flags from options: a field of ``vsr/options.py`` says all that its flag needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from vsr.batch_options import BatchOptions
from vsr.options import SUBJECTS, UpscaleOptions

PLAIN = (bool, int, float, str, Path)
_HINTS = {kind: get_type_hints(kind) for kind in (UpscaleOptions, BatchOptions)}


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a flag for every option; it gets them as ``options`` and ``several``.

    ``several`` are the :class:`BatchOptions`. Options are inserted
    between the command's parameters without and with a default.
    """
    own = inspect.signature(command, eval_str=True).parameters.values()
    first = [each for each in own if each.name not in ("options", "several") and not _has(each)]
    last = [each for each in own if _has(each)]
    parameters = [_parameter(kind, each) for kind, each in _all_fields()]

    def run(**given: Any) -> None:
        chosen = {
            kind: kind(**{
                each.name: _value(each, given.pop(_name(each)))
                for owner, each in _all_fields()
                if owner is kind
            })
            for kind in (UpscaleOptions, BatchOptions)
        }  # fmt: skip
        command(options=chosen[UpscaleOptions], several=chosen[BatchOptions], **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {each.name: each.annotation for each in (*first, *parameters, *last)}
    signature = inspect.Signature([*first, *parameters, *last])
    run.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]  # what typer reads
    return run


def flag(name: str) -> Any:
    """The flag of one option, for a command that has some of them."""
    return _flag(next(each for _, each in _all_fields() if each.name == name))


@dataclass(frozen=True, slots=True)
class DescribedFlag:
    """A flag as a table has it."""

    subject: str
    """The title of the options' class."""
    flag: str
    """The flag and its metavar."""
    default: str
    """Empty where nothing is done unless asked for."""
    sentence: str
    """What the flag does, as ``--help`` has it."""
    changes: bool
    """Whether the target's bytes depend on it."""


def described() -> list[DescribedFlag]:
    """Every flag of ``vsr upscale`` that is an option, by subject."""
    subjects = {each.name: kind for kind in (*SUBJECTS, BatchOptions) for each in fields(kind)}
    rows: list[DescribedFlag] = []
    for _, each in _all_fields():
        about = each.metadata
        switch = f"--{_long(each)}" + (f" {about['metavar']}" if about["metavar"] else "")
        shown = each.default if each.default not in (None, False, ()) else ""
        if each.default is None and about["parse"] and str(about["metavar"]).startswith("auto|"):
            shown = "auto"
        title = (subjects[each.name].__doc__ or "").split(". ")[0].split(":")[0].rstrip(".")
        rows.append(DescribedFlag(title, switch, str(shown), about["help"], about["changes"]))
    return rows


def _all_fields() -> list[tuple[type[UpscaleOptions] | type[BatchOptions], Field[Any]]]:
    """The fields of both kinds of options, by subject."""
    return [
        *((UpscaleOptions, each) for subject in SUBJECTS for each in fields(subject)),
        *((BatchOptions, each) for each in fields(BatchOptions)),
    ]


def _has(parameter: inspect.Parameter) -> bool:
    return parameter.default is not inspect.Parameter.empty


def _name(each: Field[Any]) -> str:
    """What the parameter is called: as the flag, so that settings find it."""
    return _long(each).replace("-", "_")


def _long(each: Field[Any]) -> str:
    said: str | None = each.metadata["flag"]
    return said.split("/")[0] if said else each.name.replace("_", "-")


def _flag(each: Field[Any]) -> Any:
    about, long = each.metadata, _long(each)
    names = [f"--{long}/--no-{long}" if each.default is None and _is_switch(each) else f"--{long}"]
    names += (about["flag"] or "").split("/")[1:]
    return typer.Option(*names, metavar=about["metavar"], help=about["help"])


def _is_switch(each: Field[Any]) -> bool:
    return str(each.type).startswith("bool")


def _parameter(kind: type[Any], each: Field[Any]) -> inspect.Parameter:
    default = each.default
    wanted: Any = _HINTS[kind][each.name]
    if get_origin(wanted) is tuple:
        wanted, default = list[str] | None, None
    elif each.metadata["parse"] is not None:
        auto = str(each.metadata["metavar"]).startswith("auto|")
        wanted, default = (str, "auto") if auto else (str | None, None)
    elif wanted not in PLAIN and not any(some in PLAIN for some in get_args(wanted)):
        wanted = str  # of some names, which the options check themselves
    return inspect.Parameter(
        _name(each),
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=default,
        annotation=Annotated[wanted, _flag(each)],
    )


def _value(each: Field[Any], given: Any) -> Any:
    parse = each.metadata["parse"]
    if isinstance(each.default, tuple):
        return parse(given or ()) if parse else tuple(given or ())
    return given if parse is None or given is None else parse(given)
