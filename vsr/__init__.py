"""vsr: upscale a video four times; only the pixels change on the way."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vsr.version import __version__

if TYPE_CHECKING:
    from vsr import errors as errors
    from vsr.api import dry_run as dry_run
    from vsr.api import evaluate as evaluate
    from vsr.api import list_models as list_models
    from vsr.api import load as load
    from vsr.api import plan as plan
    from vsr.api import probe as probe
    from vsr.api import upscale as upscale
    from vsr.api import upscale_batch as upscale_batch
    from vsr.batch_options import BatchOptions as BatchOptions
    from vsr.evaluation.options import CompareOptions as CompareOptions
    from vsr.infer.engine import Engine as Engine
    from vsr.options import EngineOptions as EngineOptions
    from vsr.options import UpscaleOptions as UpscaleOptions
    from vsr.report.front import compare as compare

_HOMES = {
    "CompareOptions": "vsr.evaluation.options",
    "BatchOptions": "vsr.batch_options",
    "Engine": "vsr.infer.engine",
    "EngineOptions": "vsr.options",
    "UpscaleOptions": "vsr.options",
    "compare": "vsr.report.front",
    "evaluate": "vsr.api",
    "dry_run": "vsr.api",
    "list_models": "vsr.api",
    "load": "vsr.api",
    "plan": "vsr.api",
    "probe": "vsr.api",
    "upscale": "vsr.api",
    "upscale_batch": "vsr.api",
}
__all__ = [
    "BatchOptions",
    "CompareOptions",
    "Engine",
    "EngineOptions",
    "UpscaleOptions",
    "__version__",
    "compare",
    "dry_run",
    "errors",
    "evaluate",
    "list_models",
    "load",
    "plan",
    "probe",
    "upscale",
    "upscale_batch",
]


def __dir__() -> list[str]:
    """The front door, though nothing of it is imported yet."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """Import on first use (PEP 562), so that ``import vsr`` costs nothing."""
    if name == "errors":
        return import_module("vsr.errors")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vsr' has no attribute {name!r}")
