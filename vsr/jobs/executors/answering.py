"""What a node of a cluster is asked before it gets work, and its answer. Imports nothing heavy."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vsr.version import __version__


@dataclass(frozen=True, slots=True)
class Question:
    """What a node should see: a source of so many bytes, and ``asked`` in the folder of a run."""

    source: Path
    size: int | None
    asked: Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node is. ``trouble`` is what it does not see or cannot write."""

    name: str
    vsr: str
    torch: str
    av: str
    trouble: str = ""


def answer(question: Question | None, reply: str) -> Answer:
    """Run on a node: its versions, and whether it finds the question and can reply beside it."""
    trouble = "" if question is None else _trouble(question, reply)
    return Answer(platform.node(), __version__, _version("torch"), _version("av"), trouble)


def _trouble(question: Question, reply: str) -> str:
    try:
        size = question.source.stat().st_size
        if question.size not in (None, size):
            return f"sees another file as {question.source}"
        question.asked.with_name(reply).write_bytes(question.asked.read_bytes())
    except OSError as error:
        return f"does not see {error.filename}: {error.strerror}"
    return ""


def _version(package: str) -> str:
    """As it was installed: what the package says of itself would have to be imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
