"""Rename the keys of other projects' state dicts for the same layers to ours.

Known are ESRGAN's generator as its authors published it in 2018 ("old": ``model.1.sub.0.RDB1``),
then with plain names ("new": ``RRDB_trunk.0.RDB1``, also BSRGAN and RealSR). Real-ESRGAN's names
are our own.
"""

from __future__ import annotations

import re

from torch import Tensor

from vsr.models.arch import State, indices

_PREFIXES = ("module.", "netG.", "generator.")  # of torch's parallel wrappers, of whole GANs
_OLD = (
    (r"model\.0\.", "conv_first."),
    (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"model\.1\.sub\.\d+\.(?=weight$|bias$)", "conv_body."),
)
_NEW = (
    (r"RRDB_trunk\.(\d+)\.RDB(\d)\.conv(\d)\.", r"body.\1.rdb\2.conv\3."),
    (r"trunk_conv\.", "conv_body."),
    (r"upconv(\d)\.", r"conv_up\1."),
    (r"HRconv\.", "conv_hr."),
)


def our_keys(state: State) -> dict[str, Tensor]:
    """Returns ``state`` with our keys; a state dict of no known layout keeps its own."""
    plain = dict(state)
    for prefix in _PREFIXES:
        if plain and all(key.startswith(prefix) for key in plain):
            plain = {key.removeprefix(prefix): value for key, value in plain.items()}
    if any(".conv1x1." in key for key in plain):  # ESRGAN+, another network
        return plain
    if "model.1.sub.0.RDB1.conv1.0.weight" in plain:
        # Behind the blocks stand the convolutions that enlarge, then two more.
        places = [place for place in indices(plain, "model") if place > 1]
        names = [f"conv_up{number}" for number in range(1, len(places) - 1)]
        tail = zip(places, [*names, "conv_hr", "conv_last"], strict=False)
        return _renamed(plain, (*_OLD, *((rf"model\.{at}\.", f"{name}.") for at, name in tail)))
    if "RRDB_trunk.0.RDB1.conv1.weight" in plain:
        return _renamed(plain, _NEW)
    return plain


def _renamed(state: State, rules: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in rules:
            name, count = re.subn(f"^{pattern}", replacement, key)
            if count:
                break
        made[key if name in made else name] = value  # two of one name: the strict load tells it
    return made
