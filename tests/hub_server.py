"""A small hub: as much of the HuggingFace hub's protocol, over real HTTP, as its client needs to find and download.

It can do what real ones do on a bad day too: refuse, ask for patience, send slowly, a part only, or something else.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

API = re.compile(r"^/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<kind>revision|tree)/(?P<revision>.+))?$")
RESOLVE = re.compile(r"^/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)$")
STORAGE = re.compile(r"^/storage/(?P<repo>[^/]+/[^/]+)/(?P<commit>[^/]+)/(?P<file>.+)$")
TOKEN = "/xet-read-token"
LARGE = (".safetensors", ".gguf", ".bin", ".pt", ".onnx")
"""Files that git's extension for large files keeps: named by SHA-256, and sent from a storage beside the hub."""


def commit_of(files: Mapping[str, bytes]) -> str:
    """Return what stands for the id of a commit."""
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


class Gate:
    """Holds a file back after some bytes; ``reached`` is set when they are sent, and ``open`` lets the rest go."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.reached = threading.Event()
        self.open = threading.Event()


class Refusal(Exception):
    """A status, with the code by which the client tells its reason, and more headers."""

    def __init__(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.headers = headers or {}


class Hub:
    """The repositories of a hub, the requests that it was asked, and what is to go wrong with them."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[str] = []
        self.ranges: list[tuple[str, int]] = []
        self.told: dict[str, dict[str, Any]] = {}
        self.xet: dict[str, str] = {}
        self.storage: Path | None = None
        self._lock = threading.Lock()
        self._commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self._revisions: dict[str, dict[str, str]] = {}
        self.gated: set[str] = set()
        self.gates: dict[str, Gate] = {}
        self.mend()

    def mend(self) -> None:
        """Let everything go well from now on."""
        for gate in self.gates.values():
            gate.open.set()
        self.broken: dict[str, int] = {}
        self.damaged: set[str] = set()
        self.rangeless: set[str] = set()
        self.cuts: dict[str, list[int]] = {}
        self.gates = {}
        self.refusals: list[tuple[str, Refusal]] = []

    def add(self, repo: str, files: Mapping[str, bytes], revision: str = "main") -> str:
        """Put files into a repository as a new commit of a branch; return the commit."""
        commit = commit_of(files)
        self._commits.setdefault(repo, {})[commit] = dict(files)
        self._revisions.setdefault(repo, {})[revision] = commit
        return commit

    def keep_in_chunks(self, folder: Path, *contents: bytes) -> None:
        """Keep these files as the hub keeps most large ones now: cut in chunks, in a storage that hf_xet reads."""
        from hf_xet import XetSession

        self.storage = folder / "storage"
        self.storage.mkdir(exist_ok=True)
        group = XetSession().new_upload_commit(endpoint=f"local://{self.storage}")
        for number, content in enumerate(contents):
            (folder / str(number)).write_bytes(content)
            group.start_upload_file(str(folder / str(number)))
        for found in group.wait_to_finish().uploads.values():
            content = Path(found.tracking_name).read_bytes()
            self.xet[hashlib.sha256(content).hexdigest()] = found.xet_info.hash

    def refuse(self, part: str, status: int, *, times: int = 1, code: str = "Busy", **headers: str) -> None:
        """Answer the next requests with this in their line by a status; ``retry_after`` becomes Retry-After."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.refusals += [(part, Refusal(status, code, named))] * times

    def hold(self, file: str, after: int) -> Gate:
        """Hold a file back after so many bytes, until the gate is opened."""
        gate = self.gates[file] = Gate(after)
        return gate

    def count(self, part: str) -> int:
        """Return how many requests had this in their line."""
        return sum(part in line for line in self.requests)

    def forget(self) -> None:
        """Forget what was asked so far."""
        with self._lock:
            self.requests.clear()
            self.ranges.clear()

    def note(self, line: str) -> None:
        """Remember a request. Raises Refusal where it is to be refused."""
        with self._lock:
            self.requests.append(line)
            for number, (part, refusal) in enumerate(self.refusals):
                if part in line:
                    del self.refusals[number]
                    raise refusal

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
        try:
            self.hub.note(f"{self.command} {path}")
            if found := API.match(path):
                self._describe(found["repo"], found["kind"], found["revision"])
            elif found := RESOLVE.match(path):
                self._resolve(found["repo"], found["revision"], found["file"])
            elif found := STORAGE.match(path):
                if self.headers.get("authorization"):
                    raise Refusal(400, "TokenGivenAway")
                self._send_file(found["file"], self.hub.files(found["repo"], found["commit"])[found["file"]], {})
            elif path == TOKEN:
                self._give_token()
            else:
                raise Refusal(404, "NotFound")
        except Refusal as refusal:
            told = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.code}
            self._send(refusal.status, b"{}", {**told, **refusal.headers})
        except ConnectionError:
            self.close_connection = True

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
            found: Any = [{"type": "file", "path": n, **_told_of(n, d, "oid")} for n, d in files.items()]
        else:
            siblings = [{"rfilename": n, **_told_of(n, d, "blobId")} for n, d in files.items()]
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
        headers = {"X-Repo-Commit": commit}
        if not file.endswith(LARGE):
            self._send_file(file, data, headers | {"ETag": f'"{git_checksum(data)}"'})
            return
        digest = hashlib.sha256(data).hexdigest()
        headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data)), "ETag": '"of the pointer"'}
        if digest in self.hub.xet:
            headers |= {"X-Xet-Hash": self.hub.xet[digest], "X-Xet-Refresh-Route": f"{self.hub.url}{TOKEN}"}
        # The storage is another host, which sees no token.
        storage = self.hub.url.replace("127.0.0.1", "localhost")
        self._send(302, b"", headers | {"Location": f"{storage}/storage/{repo}/{commit}/{file}"})

    def _give_token(self) -> None:
        told = {"accessToken": "token", "exp": int(time.time()) + 3600, "casUrl": f"local://{self.hub.storage}"}
        self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _send_file(self, file: str, data: bytes, headers: Mapping[str, str]) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        start = int(wanted[1]) if wanted and file not in self.hub.rangeless else 0
        if wanted:
            self.hub.ranges.append((file, int(wanted[1])))
        status, headers = 200, {"Accept-Ranges": "bytes", **headers}
        if start:
            status, headers = 206, {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        if file in self.hub.damaged:
            data = bytes(byte ^ 1 for byte in data)
        self._send(status, data[start:], headers, file)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], file: str = "") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(body, file)

    def _send_body(self, body: bytes, file: str) -> None:
        if gate := self.hub.gates.get(file):
            self.wfile.write(body[: gate.after])
            body = body[gate.after :]
            gate.reached.set()
            gate.open.wait()
        if cuts := self.hub.cuts.get(file):
            body = body[: cuts.pop(0)]
            self.close_connection = True
        self.wfile.write(body)


def git_checksum(data: bytes) -> str:
    """Return the name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _told_of(name: str, data: bytes, key: str) -> dict[str, Any]:
    told: dict[str, Any] = {"size": len(data), key: git_checksum(data)}
    if name.endswith(LARGE):
        digest = hashlib.sha256(data).hexdigest()
        told["lfs"] = {"size": len(data), "pointerSize": 134, ("oid" if key == "oid" else "sha256"): digest}
    return told


def point_to(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """Let this process, and those that it starts, ask a hub and keep a cache; the library has read its environment."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


def places(hub: Hub, home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a server that asks this hub and has its own cache in a folder."""
    cache = {"HF_HOME": str(home), "HF_HUB_CACHE": str(home / "hub")}
    return {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "", **cache, **more}


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
        hub.mend()
        server.shutdown()
        thread.join()
        server.server_close()
