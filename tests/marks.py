"""Parameters of which `make test` takes some, and `make test-all` every one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest


def usually(some: Iterable[object], every: Iterable[object]) -> list[Any]:
    """``every`` value as a parameter, a tuple as several; those not among ``some`` are extended."""
    kept = list(some)
    return [
        pytest.param(
            *(cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)),
            marks=() if value in kept else pytest.mark.extended,
        )
        for value in every
    ]
