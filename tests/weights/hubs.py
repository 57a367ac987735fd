"""A server on this machine that answers as OpenModelDB and Hugging Face do."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hubs:
    """What is published. ``asked`` are the paths that were asked for, in order.

    A path in ``stuck`` is served half; the rest waits for its event.
    """

    models: dict[str, Any] = field(default_factory=dict[str, Any])  # OpenModelDB's, by id
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])  # by their path here
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    asked: list[str] = field(default_factory=list[str])
    stuck: dict[str, threading.Event] = field(default_factory=dict[str, threading.Event])
    url: str = ""

    def publish(self, name: str, data: bytes, *, kind: str = "pth", **facts: Any) -> None:
        """A model of OpenModelDB's, as its ``models.json`` has them."""
        self.files[f"/files/{name}.{kind}"] = data
        resource = {
            "platform": "pytorch",
            "type": kind,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "urls": [f"{self.url}/files/{name}.{kind}"],
        } | facts.pop("resource", {})
        self.models[name] = {
            "name": name.replace("-", " "),
            "author": "someone",
            "license": "CC-BY-4.0",
            "tags": ["photo"],
            "description": "Sharpens\nphotographs.",
            "architecture": "compact",
            "scale": 4,
            "resources": [resource],
        } | facts

    def push(
        self, repository: str, files: dict[str, bytes], *, licence: str | None = "apache-2.0"
    ) -> None:
        """A repository of Hugging Face's, with one commit."""
        siblings = [
            {
                "rfilename": path,
                "size": len(data),
                "blobId": "0" * 40,
                "lfs": {
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "size": len(data),
                    "pointerSize": 134,
                },
            }
            for path, data in files.items()
        ]
        self.repositories[repository] = {
            "id": repository,
            "modelId": repository,
            "sha": COMMIT,
            "siblings": siblings,
            "cardData": {} if licence is None else {"license": licence},
            "tags": [],
            "private": False,
            "gated": False,
            "disabled": False,
        }
        for path, data in files.items():
            self.files[f"/{repository}/resolve/{COMMIT}/{path}"] = data

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of what is asked for."""
        if path == "/api/v1/models.json":
            return 200, json.dumps(self.models).encode(), {}
        if path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            if name not in self.repositories:
                return 404, b"", {"X-Error-Code": "RepoNotFound"}
            if revision not in ("", "main", COMMIT):
                return 404, b"", {"X-Error-Code": "RevisionNotFound"}
            return 200, json.dumps(self.repositories[name]).encode(), {}
        if path in self.files:
            data = self.files[path]
            tag = hashlib.sha256(data).hexdigest()
            return 200, data, {"X-Repo-Commit": COMMIT, "ETag": f'"{tag}"'}
        return 404, b"", {"X-Error-Code": "EntryNotFound"}


@contextmanager
def serving() -> Generator[Hubs]:
    """Both hubs at one address of this machine, until the end."""
    hubs = Hubs()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hubs.asked.append(path)
            status, body, headers = hubs.answer(path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            event = hubs.stuck.get(path)
            half = len(body) // 2 if event else 0
            self.wfile.write(body[:half])
            if event is not None:
                event.wait(60)
            with suppress(OSError):  # whoever asked may be gone
                self.wfile.write(body[half:])

        do_HEAD = do_GET  # noqa: N815  # the base class's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Tests are silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        hubs.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield hubs
        finally:
            server.shutdown()
            thread.join()
