"""The catalog of architectures, by name. To add one: its file, a line here, a test."""

from __future__ import annotations

from vsr.models import compact, recurrent, rrdb, srcnn, srresnet
from vsr.models.arch import Arch
from vsr.models.interpolation import INTERPOLATIONS

ARCHS: dict[str, Arch] = {
    arch.name: arch
    for arch in (
        *INTERPOLATIONS,
        srcnn.ARCH,
        srresnet.ARCH,
        compact.ARCH,
        rrdb.ARCH,
        recurrent.ARCH,
    )
}
