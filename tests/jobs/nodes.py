"""A Ray cluster on this machine, as a program that is told on stdin what nodes to start.

``add`` starts another node, ``blind FOLDER`` one that finds that folder empty. Each answers with
the process id of the node; the first line is the cluster's address. It ends with stdin.
"""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SMALL = {"num_cpus": 1, "object_store_memory": 80 << 20}


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def raylet(node: Any) -> int:
    return node.all_processes["raylet"][0].process.pid


def blind(address: str, folder: str) -> subprocess.Popen[bytes]:
    """A node that sees an empty file system where the others see ``folder``."""
    start = f"{Path(sys.executable).parent}/ray start --address {address} --num-cpus 1 --block"
    mount = f"mount -t tmpfs tmpfs '{folder}' && exec {start} --object-store-memory {80 << 20}"
    command = ["unshare", "--mount", "sh", "-c", mount]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def alive(cluster: Any) -> int:
    return sum(node["Alive"] for node in cluster.global_state.node_table())


def main() -> None:
    kind: Any = importlib.import_module("ray.cluster_utils").Cluster
    head = {**SMALL, "include_dashboard": False}
    cluster = kind(initialize_head=True, head_node_args=head)
    say(cluster.address, raylet(cluster.head_node))
    others: list[subprocess.Popen[bytes]] = []
    try:
        for line in sys.stdin:
            word, _, folder = line.strip().partition(" ")
            if word == "blind":
                count = alive(cluster)
                others.append(blind(cluster.address, folder))
                while alive(cluster) == count:
                    time.sleep(0.1)
                say(others[-1].pid)
            else:
                say(raylet(cluster.add_node(**SMALL)))
    finally:
        for process in others:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        cluster.shutdown()


if __name__ == "__main__":
    main()
