"""The picture that is damaged."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.conftest import drawn


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    """(128, 144, 3) RGB."""
    return drawn(0)
