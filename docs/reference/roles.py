"""Turns the roles of docstrings (``:class:`~vsr.errors.VsrError```) into code for Markdown."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`(~?)([\w.]+)`")


def _code(match: re.Match[str]) -> str:
    shortened, name = match.groups()
    return f"`{name.rsplit('.', 1)[-1] if shortened else name}`"


class Roles(Extension):
    """Rewrites every docstring before it is rendered."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Replace the roles in one object's docstring."""
        del kwargs
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(_code, obj.docstring.value)
