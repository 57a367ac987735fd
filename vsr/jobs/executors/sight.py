"""Whether a cluster's nodes are alike and see the files. Asked before work begins; does none."""

from __future__ import annotations

import importlib
import secrets
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vsr.errors import DeviceError, StorageError
from vsr.jobs.executors.answering import Answer, Question, answer
from vsr.jobs.executors.worker import Hello, check_alike
from vsr.jobs.segments import Task

ANSWER_SECONDS = 120.0


class Sight:
    """Asks every node with room for a worker, once for each pair of folders."""

    def __init__(self, ray: Any, room: Mapping[str, float], *, storage: bool) -> None:
        self._ray, self._room, self._storage = ray, room, storage
        self._alike = _versions(answer(None, ""))
        self._lock = threading.Lock()
        self._asked: set[tuple[str, Path, Path]] = set()

    def check(self, task: Task | None = None) -> None:
        """Raise where a node is not like this process, or does not see the files of ``task``."""
        with self._lock:
            if task is None:
                self._ask(None, self._nodes())
                return
            if not self._storage:
                return
            source, folder = task.plan.info.path, task.folder
            places = (source.parent, folder.parent)
            fresh = [node for node in self._nodes() if (node, *places) not in self._asked]
            asked = folder / f"probe-{secrets.token_hex(4)}"
            size = None if task.plan.info.is_folder else source.stat().st_size
            try:
                asked.write_text(asked.name)
                self._ask(Question(source.absolute(), size, asked.absolute()), fresh)
            finally:
                for path in folder.glob(f"{asked.name}*"):
                    path.unlink()
            self._asked |= {(node, *places) for node in fresh}

    def _nodes(self) -> list[str]:
        return [
            node["NodeID"]
            for node in self._ray.nodes()
            if node["Alive"]
            and all(node["Resources"].get(key, 0) >= least for key, least in self._room.items())
        ]

    def _ask(self, question: Question | None, nodes: list[str]) -> None:
        place = importlib.import_module("ray.util.scheduling_strategies")
        errors = importlib.import_module("ray.exceptions")
        ask = self._ray.remote(answer)
        asked: dict[str, Any] = {}
        for node in nodes:
            strategy = place.NodeAffinitySchedulingStrategy(node, soft=False)
            reply = "" if question is None else f"{question.asked.name}-{node}"
            options = ask.options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
            asked[reply or node] = options.remote(question, reply)
        for reply, reference in asked.items():
            try:
                told: Answer = self._ray.get(reference, timeout=ANSWER_SECONDS)
            except (errors.TaskUnschedulableError, errors.NodeDiedError):
                continue  # it died before Ray took note of it: no worker will be there
            except errors.RayError as error:
                raise DeviceError(
                    f"a node of the cluster cannot work: {_last_line(error)}",
                    hint="install the same packages on every node: vsr, torch, PyAV",
                ) from error
            check_alike(told.name, _versions(told), self._alike)
            if question is not None:
                self._judge(question, told, reply)

    def _judge(self, question: Question, told: Answer, reply: str) -> None:
        trouble = told.trouble
        if not trouble:
            there = b""
            with suppress(OSError):
                there = question.asked.with_name(reply).read_bytes()
            if there != question.asked.read_bytes():
                trouble = f"writes to another folder {question.asked.parent.parent}"
        if trouble:
            raise StorageError(
                f"node {told.name} of the cluster {trouble}",
                hint="source and target must lie on storage that all nodes see at the same path; "
                "--ship sends them through Ray instead",
            )


def _versions(told: Answer) -> Hello:
    return Hello(told.vsr, told.torch, told.av, fingerprint="")


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip() if str(error).strip() else ""
