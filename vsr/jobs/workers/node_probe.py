"""The check that runs on each node of a cluster before it gets work. Imports nothing heavy."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vsr.version import __version__


@dataclass(frozen=True, slots=True)
class NodeProbe:
    """What a node should find on its storage."""

    source: Path
    """The video or folder that will be read."""
    size: int | None
    """Of the source, in bytes; ``None`` for a folder."""
    file: Path
    """A file with a random text in the run's folder, beside which the node writes a copy."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a node answers to a probe."""

    name: str
    """The node's host name."""
    vsr: str
    """Version of vsr."""
    torch: str
    """Version of the package torch."""
    av: str
    """Version of PyAV."""
    problem: str = ""
    """What it does not see or cannot write, as a clause; empty where all is well."""


def probe_node(probe: NodeProbe | None, reply: str) -> NodeReport:
    """Report this node's versions, and whether it reads the probe's files and can write there.

    The reply is a copy of the probe's file under the name ``reply`` beside it.
    """
    problem = "" if probe is None else _problem(probe, reply)
    return NodeReport(platform.node(), __version__, _version("torch"), _version("av"), problem)


def _problem(probe: NodeProbe, reply: str) -> str:
    try:
        size = probe.source.stat().st_size
        if probe.size not in (None, size):
            return f"sees another file as {probe.source}"
        probe.file.with_name(reply).write_bytes(probe.file.read_bytes())
    except OSError as error:
        return f"does not see {error.filename}: {error.strerror}"
    return ""


def _version(package: str) -> str:
    """The installed version, read without importing the package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
