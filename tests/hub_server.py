"""A small hub: as much of the HuggingFace hub's protocol, over real HTTP, as its client needs to find and download."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

API = re.compile(r"^/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<kind>revision|tree)/(?P<revision>.+))?$")
RESOLVE = re.compile(r"^/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)$")


def commit_of(files: Mapping[str, bytes]) -> str:
    """Return what stands for the id of a commit."""
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


class Hub:
    """The repositories of a hub, and the requests that it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[str] = []
        self.gated: set[str] = set()
        self.broken: dict[str, int] = {}
        self.told: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self._revisions: dict[str, dict[str, str]] = {}

    def add(self, repo: str, files: Mapping[str, bytes], revision: str = "main") -> str:
        """Put files into a repository as a new commit of a branch; return the commit."""
        commit = commit_of(files)
        self._commits.setdefault(repo, {})[commit] = dict(files)
        self._revisions.setdefault(repo, {})[revision] = commit
        return commit

    def count(self, part: str) -> int:
        """Return how many requests had this in their line."""
        return sum(part in line for line in self.requests)

    def forget(self) -> None:
        """Forget what was asked so far."""
        with self._lock:
            self.requests.clear()

    def note(self, line: str) -> None:
        """Remember a request."""
        with self._lock:
            self.requests.append(line)

    def commit(self, repo: str, revision: str | None) -> str | None:
        """Return the commit of a branch, tag or commit, None where there is none."""
        commit = self._revisions[repo].get(revision or "main", revision)
        return commit if commit in self._commits[repo] else None

    def files(self, repo: str, commit: str) -> dict[str, bytes]:
        """Return the files of a commit."""
        return self._commits[repo][commit]

    def has(self, repo: str) -> bool:
        """Whether there is such a repository."""
        return repo in self._commits


class Refusal(Exception):
    """A status, with the code by which the client tells its reason."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class HubRequest(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing; the hub keeps what it was asked."""

    def do_GET(self) -> None:
        """Answer."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer with headers alone."""
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.note(f"{self.command} {path}")
        try:
            if found := API.match(path):
                self._describe(found["repo"], found["kind"], found["revision"])
            elif found := RESOLVE.match(path):
                self._resolve(found["repo"], found["revision"], found["file"])
            else:
                raise Refusal(404, "NotFound")
        except Refusal as refusal:
            self._send(refusal.status, b"{}", {"X-Error-Code": refusal.code, "X-Error-Message": refusal.code})

    def _find(self, repo: str, revision: str | None) -> str:
        if not self.hub.has(repo):
            raise Refusal(404 if self.headers.get("authorization") else 401, "RepoNotFound")
        commit = self.hub.commit(repo, revision)
        if commit is None:
            raise Refusal(404, "RevisionNotFound")
        return commit

    def _describe(self, repo: str, kind: str | None, revision: str | None) -> None:
        commit = self._find(repo, revision)
        files = self.hub.files(repo, commit)
        if kind == "tree":
            found: Any = [{"type": "file", "path": n, "size": len(d), "oid": _etag(d)} for n, d in files.items()]
        else:
            siblings = [{"rfilename": n, "size": len(d), "blobId": _etag(d)} for n, d in files.items()]
            moment = "2024-05-06T07:08:09.000Z"
            found = {
                "_id": "1",
                "id": repo,
                "modelId": repo,
                "sha": commit,
                "createdAt": moment,
                "lastModified": moment,
            }
            found |= {"private": False, "gated": repo in self.hub.gated and "manual", "tags": [], "siblings": siblings}
            found |= self.hub.told.get(repo, {})
        self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repo: str, revision: str, file: str) -> None:
        commit = self._find(repo, revision)
        if repo in self.hub.gated and self.headers.get("authorization") != "Bearer hf_good":
            raise Refusal(403 if self.headers.get("authorization") else 401, "GatedRepo")
        if file in self.hub.broken:
            raise Refusal(self.hub.broken[file], "Broken")
        if file not in self.hub.files(repo, commit):
            raise Refusal(404, "EntryNotFound")
        data = self.hub.files(repo, commit)[file]
        headers = {"ETag": f'"{_etag(data)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        if wanted:
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._send(206, data[start:], headers)
        else:
            self._send(200, data, headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Run a hub on a free port; ``HF_ENDPOINT`` is to be its url."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (HubRequest,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
