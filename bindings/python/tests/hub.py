"""A hub of a few folders on this machine, as far as pulling needs one."""

import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_oid(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer()

    do_HEAD = do_GET

    def answer(self):
        path = self.path.partition("?")[0].lstrip("/")
        for repo, folder in self.server.folders.items():
            if path == f"api/models/{repo}/revision/main":
                return self.send(json.dumps({"id": repo, "sha": COMMIT}).encode())
            if path == f"api/models/{repo}/tree/{COMMIT}":
                return self.send(json.dumps(list(map(dict, self.entries(folder)))).encode())
            if path.startswith(f"{repo}/resolve/{COMMIT}/"):
                return self.send_file((folder / path.partition(f"{COMMIT}/")[2]).read_bytes())
        return self.send(b"{}", 404)

    @staticmethod
    def entries(folder):
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            data = file.read_bytes()
            name = str(file.relative_to(folder))
            yield {"type": "file", "oid": git_oid(data), "size": len(data), "path": name}.items()

    def send_file(self, data):
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{git_oid(data)}"'}
        wanted = self.headers.get("Range")
        if not wanted:
            return self.send(data, **headers)
        first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return self.send(data[first : last + 1], 206, **headers)

    def send(self, body, status=200, **headers):
        self.server.requests.append(self.path)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(folders):
    """:param folders: by the names of their repositories"""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.folders, server.requests = folders, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.requests
    finally:
        server.shutdown()
        server.server_close()
