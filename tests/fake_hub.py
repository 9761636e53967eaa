"""A local HTTP server in the Hub's place: a dataset, faults on request, pushing.

It speaks as much of the Hub's protocol as streaming and uploading need: revisions,
listings, files by range.
"""

import base64
import json
import pathlib
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_that_may_write"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(ThreadingHTTPServer):
    """Serves a folder as `owner/data`; `faults` wait for the next requests for rows."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.folder, self.faults, self.requests, self.after = folder, [], [], 0
        self.pushed = {}  # file of a model: its content
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def send(self, body: bytes, status: int = 200, **headers) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Length": len(body),
            "X-Repo-Commit": COMMIT,
            **headers,
        }.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def entries(self) -> list[dict]:
        """All files, and all folders above them."""
        found = []
        for path in sorted(self.server.folder.rglob("*")):
            name, size = str(path.relative_to(self.server.folder)), path.stat().st_size
            kind = "directory" if path.is_dir() else "file"
            found.append(
                {
                    "type": kind,
                    "path": name,
                    "size": 0 if path.is_dir() else size,
                    "oid": "0" * 40,
                }
            )
        return found

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length")
        body = (
            self.rfile.read(int(length)) if length else b"".join(self.chunks())
        ).decode()
        if "paths-info" not in self.path:
            return self.take_push(self.path.split("?")[0], body)
        try:
            wanted = json.loads(body)["paths"]
        except ValueError:
            from urllib.parse import parse_qs

            wanted = parse_qs(body).get("paths", [])
        self.send(
            json.dumps(
                [entry for entry in self.entries() if entry["path"] in wanted]
            ).encode()
        )

    def chunks(self) -> Iterator[bytes]:
        """The parts of a body that was sent without its length."""
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def take_push(self, path: str, body: str) -> None:
        """A new repository, a look at what will come, and a commit with all files."""
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.send(b"{}", 401)
        answer = {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            wanted = json.loads(body)
            name = "/".join(filter(None, (wanted.get("organization"), wanted["name"])))
            answer = {"url": f"{self.server.url}/{name}", "name": name, "id": name}
        elif "/preupload/" in path:
            files = [file["path"] for file in json.loads(body)["files"]]
            answer = {
                "files": [
                    {"path": file, "uploadMode": "regular", "shouldIgnore": False}
                    for file in files
                ]
            }
        elif "/commit/" in path:
            model = path.removeprefix("/api/models/").partition("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    file = line["value"]
                    self.server.pushed[f"{model}/{file['path']}"] = base64.b64decode(
                        file["content"]
                    )
            address = f"{self.server.url}/{model}/commit/{COMMIT}"
            answer = {
                "success": True,
                "commitOid": COMMIT,
                "commitUrl": address,
                "hookOutput": "",
            }
        self.send(json.dumps(answer).encode(), Content_Type="application/json")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if found := re.fullmatch(
            r"/api/datasets/owner/data(/revision/(?P<revision>.+))?", path
        ):
            if found["revision"] not in (None, "main", COMMIT):
                return self.send(b"{}", 404, X_Error_Code="RevisionNotFound")
            files = [
                {"rfilename": entry["path"]}
                for entry in self.entries()
                if entry["type"] == "file"
            ]
            info = {
                "id": "owner/data",
                "sha": COMMIT,
                "siblings": files,
                "tags": [],
                "gated": False,
                "private": False,
            }
            return self.send(json.dumps(info).encode(), Content_Type="application/json")
        if found := re.fullmatch(
            rf"/api/datasets/owner/data/tree/(main|{COMMIT})(?P<under>/.*)?", path
        ):
            under = (found["under"] or "/").strip("/")
            deep = "recursive=true" in self.path.lower()
            inside = [
                entry
                for entry in self.entries()
                if entry["path"].startswith(f"{under}/".lstrip("/"))
            ]
            if not deep:
                depth = len(under.split("/")) if under else 0
                inside = [
                    entry for entry in inside if entry["path"].count("/") == depth
                ]
            return self.send(
                json.dumps(inside).encode(), Content_Type="application/json"
            )
        file = self.server.folder / path.partition(f"/resolve/{COMMIT}/")[2].replace(
            "%3D", "="
        )
        if "/resolve/" not in path or not file.is_file():
            return self.send(
                b"{}",
                404,
                X_Error_Code="EntryNotFound" if "/resolve/" in path else "RepoNotFound",
            )
        self.send_file(file)

    def send_file(self, file: pathlib.Path) -> None:
        """A file or the wanted range of it, unless the next fault comes first."""
        content, headers, status = (
            file.read_bytes(),
            {"ETag": '"0"', "Accept_Ranges": "bytes"},
            200,
        )
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = (
                int(found[1]),
                min(int(found[2] or len(content)), len(content) - 1),
            )
            headers["Content_Range"] = f"bytes {first}-{last}/{len(content)}"
            content, status = content[first : last + 1], 206
        if file.suffix == ".parquet" and self.command == "GET":
            self.server.requests.append(time.monotonic())
            if len(self.server.requests) > self.server.after and self.server.faults:
                return self.fail(self.server.faults.pop(0), content, headers)
        self.send(content, status, **headers)

    def fail(self, fault: str, content: bytes, headers: dict) -> None:
        """`403`, ... perhaps with `Retry-After`; `cut`: half of the bytes; `hang`."""
        if fault == "cut":
            self.send_response(206)
            for name, value in {"Content-Length": len(content), **headers}.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif fault == "hang":
            time.sleep(30)
            self.close_connection = True
        else:
            status, _, wait = fault.partition(", Retry-After ")
            self.send(b"{}", int(status), **({"Retry_After": wait} if wait else {}))
