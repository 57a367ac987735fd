"""Options: checked where they are made, and every one of them has its flag."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests import guide_tables
from vsr.batch_options import BatchOptions
from vsr.cli.flags import described
from vsr.cli.upscale import upscale
from vsr.errors import OptionsError
from vsr.geometry import Size
from vsr.options import EngineOptions, UpscaleOptions
from vsr.training.options import TrainOptions
from vsr.units import parse_bytes, parse_seconds, parse_size

# What the command has beside the library's options, and the one whose flag is in the singular.
ONLY_COMMAND = {"places", "to", "dry_run", "json", "quiet", "verbose"}
RENAMED = {"encoder_option": "encoder_options"}


def test_every_option_has_a_flag_with_help_and_the_same_default() -> None:
    parameters = dict(inspect.signature(upscale, eval_str=True).parameters)
    del parameters["ctx"]  # typer's, no flag
    named = {RENAMED.get(name, name) for name in parameters} - ONLY_COMMAND
    kinds = (UpscaleOptions, BatchOptions)
    assert named == {field.name for kind in kinds for field in fields(kind)}
    defaults = {field.name: getattr(kind(), field.name) for kind in kinds for field in fields(kind)}
    for name, parameter in parameters.items():
        assert parameter.annotation.__metadata__[0].help, name
        if name in ONLY_COMMAND or name in RENAMED:
            continue
        default = defaults[name] or None if isinstance(defaults[name], tuple) else defaults[name]
        assert parameter.default in (default, "auto" if default is None else default), name


def test_the_guide_lists_every_option() -> None:
    written = guide_tables.OPTIONS.read_text(encoding="utf-8")
    assert written == guide_tables.options(), "run python -m tests.guide_tables"


def test_what_changes_the_bytes_is_the_identity_of_a_run() -> None:
    """By example: a journal of other settings of these is refused, of those it is gone on with."""
    identity = set(UpscaleOptions().as_json())
    assert {"model", "crf", "tile", "start", "clean", "vram", "reuse", "height"} <= identity
    assert not {"devices", "encoders", "overwrite", "force", "stall", "device"} & identity
    assert {each.flag.split()[0][2:] for each in described() if each.changes} == {
        {value: key for key, value in RENAMED.items()}.get(name, name).replace("_", "-")
        for name in identity
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 9.0},
        {"scale": 0.5},
        {"denoise": 1.5},
        {"scale": 2.0, "height": 720},
        {"height": 0},
        {"tile": 8},
        {"batch": 0},
        {"overlap": -1},
        {"vram": 1},
        {"reuse": "-1"},
        {"reuse": "some"},
        {"compile": "maybe"},
        {"hwaccel": "cuda"},
        {"device": "tpu"},
        {"dtype": "int8"},
        {"codec": "mpeg2"},
        {"start": -1.0},
        {"start": 5.0, "end": 4.0},
        {"deinterlace": "maybe"},
        {"fps": "0"},
        {"fps": "abc"},
        {"fps": "24/0"},
        {"encoders": 2},
        {"tile": "64"},
        {"batch": True},
        {"compare": "page.html"},
        {"size": "640x360"},
        {"then": "tiny"},
        {"end": "1:30"},
        {"encoder_options": {"tune": "film"}},
        {"encoder_options": (("tune", "film", "more"),)},
        {"overwrite": 1},
        {"dtype": 16},
    ],
)
def test_a_wrong_value_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionsError):
        UpscaleOptions(**wrong)


def test_a_wrong_type_is_named_with_what_it_should_be() -> None:
    with pytest.raises(OptionsError, match=r"^tile must be a whole number or None, got '64'$"):
        UpscaleOptions(tile="64")  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionsError, match=r"^frames must be a tuple, got 'frames'$"):
        TrainOptions("frames", Path("out"))  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionsError, match=r"^poll must be a number, got '5'$"):
        BatchOptions(poll="5")  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionsError, match=r"^batch must be a whole number or None, got 2.0$"):
        EngineOptions(batch=2.0)  # pyright: ignore[reportArgumentType]
    given = UpscaleOptions(scale=2, then=["tiny"])  # pyright: ignore[reportArgumentType]
    assert given.scale == 2


def test_sizes_follow_from_scale_height_width_or_size() -> None:
    source = Size(320, 180)
    assert UpscaleOptions().target_size(source, 4) == Size(1280, 720)
    assert UpscaleOptions(scale=2.5).target_size(source, 4) == Size(800, 450)
    assert UpscaleOptions(height=1080).target_size(source, 4) == Size(1920, 1080)
    assert UpscaleOptions(width=1000).target_size(source, 4) == Size(1000, 562)
    assert UpscaleOptions(size=Size(500, 500)).target_size(source, 4) == Size(500, 500)


def test_amounts_times_and_sizes_are_parsed() -> None:
    assert parse_bytes("4GB") == 4 << 30
    assert parse_bytes("512 MiB") == 512 << 20
    assert parse_bytes("1.5g") == 3 << 29
    assert parse_seconds("83.5") == 83.5
    assert parse_seconds("1:23.5") == 83.5
    assert parse_seconds("1:00:01.250") == 3601.25
    assert parse_size("1920x1080") == Size(1920, 1080)
    for parse, wrong in ((parse_bytes, "much"), (parse_seconds, "soon"), (parse_size, "big")):
        with pytest.raises(OptionsError, match=wrong):
            parse(wrong)
