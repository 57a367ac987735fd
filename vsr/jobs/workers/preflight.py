"""Checks, before work begins, that a cluster's nodes are alike and reach the files of a run."""

from __future__ import annotations

import importlib
import platform
import secrets
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vsr.errors import DeviceError, StorageError
from vsr.jobs.video.segments import Task
from vsr.jobs.workers.worker import Handshake, check_compatible
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


PROBE_TIMEOUT_SECONDS = 120.0  # for a node's report


class ClusterPreflight:
    """Probes every node with the resources for a worker, once for each pair of folders.

    ``storage`` tells whether the nodes need to reach the files themselves.
    """

    def __init__(self, ray: Any, resources: Mapping[str, float], *, storage: bool) -> None:
        self._ray, self._resources, self._storage = ray, resources, storage
        self._expected = _versions(probe_node(None, ""))
        self._lock = threading.Lock()
        self._checked: set[tuple[str, Path, Path]] = set()

    def check(self, task: Task | None = None) -> None:
        """Raise where a node differs from this process, or does not reach the files of ``task``.

        :class:`DeviceError` for other versions, :class:`StorageError` for files.
        """
        with self._lock:
            if task is None:
                self._probe(None, self._nodes())
                return
            if not self._storage:
                return
            source, folder = task.plan.info.path, task.folder
            places = (source.parent, folder.parent)
            fresh = [node for node in self._nodes() if (node, *places) not in self._checked]
            file = folder / f"probe-{secrets.token_hex(4)}"
            size = None if task.plan.info.is_folder else source.stat().st_size
            try:
                file.write_text(file.name)
                self._probe(NodeProbe(source.absolute(), size, file.absolute()), fresh)
            finally:
                for path in folder.glob(f"{file.name}*"):
                    path.unlink()
            self._checked |= {(node, *places) for node in fresh}

    def _nodes(self) -> list[str]:
        """The ids of the nodes that could hold a worker."""
        return [
            node["NodeID"]
            for node in self._ray.nodes()
            if node["Alive"]
            and all(
                node["Resources"].get(key, 0) >= least for key, least in self._resources.items()
            )
        ]

    def _probe(self, probe: NodeProbe | None, nodes: list[str]) -> None:
        """Run the probe on all nodes at once, and check what each reports."""
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        errors = importlib.import_module("ray.exceptions")
        task = self._ray.remote(probe_node)
        references: dict[str, Any] = {}
        for node in nodes:
            strategy = strategies.NodeAffinitySchedulingStrategy(node, soft=False)
            reply = "" if probe is None else f"{probe.file.name}-{node}"
            options = task.options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
            references[reply or node] = options.remote(probe, reply)
        for reply, reference in references.items():
            try:
                report: NodeReport = self._ray.get(reference, timeout=PROBE_TIMEOUT_SECONDS)
            except (errors.TaskUnschedulableError, errors.NodeDiedError):
                continue  # it died before Ray took note of it: no worker will be there
            except errors.RayError as error:
                raise DeviceError(
                    f"a node of the cluster cannot work: {_last_line(error)}",
                    hint="install the same packages on every node: vsr, torch, PyAV",
                ) from error
            check_compatible(report.name, _versions(report), self._expected)
            if probe is not None:
                self._check_report(probe, report, reply)

    def _check_report(self, probe: NodeProbe, report: NodeReport, reply: str) -> None:
        """Raise where a node saw a problem, or its reply did not reach this process's storage."""
        problem = report.problem
        if not problem:
            found = b""
            with suppress(OSError):
                found = probe.file.with_name(reply).read_bytes()
            if found != probe.file.read_bytes():
                problem = f"writes to another folder {probe.file.parent.parent}"
        if problem:
            raise StorageError(
                f"node {report.name} of the cluster {problem}",
                hint="source and target must lie on storage that all nodes see at the same path; "
                "--ship sends them through Ray instead",
            )


def _versions(report: NodeReport) -> Handshake:
    return Handshake(report.vsr, report.torch, report.av, fingerprint="")


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip() if str(error).strip() else ""
