"""The runner's static server: the built site with a page that runs one notebook by itself."""

import json
import queue
import secrets
from http import HTTPStatus
from pathlib import Path
from typing import Any

from lite_site.serve import SiteHandler, SiteServer

DRIVER = Path(__file__).with_name("run.js")
START_PAGE = b'<!doctype html><script type="module" src="run.js"></script>'
MAX_EVENT_BYTES = 512 * 2**20
# JSPI can not be switched off in Chromium 156 by any flag; without these two names Pyodide takes
# the browser for one that lacks it.
NO_JSPI = b"delete WebAssembly.Suspending;delete WebAssembly.promising;\n"
WORKERS = "extensions/@jupyterlite/pyodide-kernel-extension/static/*.worker.*.js"


class RunServer(SiteServer):
    """A built site whose notebook page fetches a job, does it, and sends events.

    Only the page that knows the job's id, which is in no log and no command line, gets it.
    """

    def __init__(self, site: Path, *, port: int = 0, jspi: bool = True) -> None:
        super().__init__(site, port=port, handler=RunHandler)
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.job: dict[str, Any] | None = None
        self.job_id = ""
        self.overlay["lite-run/index.html"] = START_PAGE
        self.overlay["lite-run/run.js"] = DRIVER.read_bytes()
        page = (site / "notebooks" / "index.html").read_text(encoding="utf-8")
        script = '<script type="module" src="../lite-run/run.js"></script></body>'
        self.overlay["notebooks/index.html"] = page.replace("</body>", script).encode()
        settings = json.loads((site / "jupyter-lite.json").read_text(encoding="utf-8"))
        page_config = settings.setdefault("jupyter-config-data", {})
        page_config["exposeAppInBrowser"] = True
        page_config["contentsAllJsonFile"] = "all.json"
        self.overlay["jupyter-lite.json"] = json.dumps(settings).encode()
        self.extensions = {one["name"] for one in page_config.get("federated_extensions", [])}
        if not jspi:
            for worker in site.glob(WORKERS):
                name = worker.relative_to(site).as_posix()
                self.overlay[name] = NO_JSPI + worker.read_bytes()

    def offer(
        self, name: str, notebook: dict[str, Any], storage: dict[str, str], allow_errors: bool
    ) -> str:
        """Put a notebook on the site; return the address of the page that will run it.

        `storage` goes into the page's sessionStorage before the app starts.
        """
        listing = self.site / "api" / "contents" / "all.json"
        files = json.loads(listing.read_text(encoding="utf-8")) if listing.is_file() else {}
        entry = {"name": name, "path": name, "type": "notebook", "format": "json"}
        entry |= {"writable": True, "mimetype": None, "content": None, "size": 0}
        entry |= {"created": "2000-01-01T00:00:00Z", "last_modified": "2000-01-01T00:00:00Z"}
        others = [file for file in files.get("content", []) if file["name"] != name]
        self.overlay["api/contents/all.json"] = json.dumps(
            files | {"content": [*others, entry]}
        ).encode()
        self.overlay[f"files/{name}"] = json.dumps(notebook).encode()
        self.events = queue.Queue()
        self.job = {"path": name, "storage": storage, "allowErrors": allow_errors}
        self.job_id = secrets.token_urlsafe(24)
        return f"{self.url}lite-run/index.html#{self.job_id}"


class RunHandler(SiteHandler):
    """Adds what the page posts: for its job, once, and with its events."""

    server: RunServer

    def do_POST(self) -> None:
        """Take an event or hand out the job."""
        path = (self.server.relative_path(self.path) or "").split("/")
        length = int(self.headers.get("Content-Length") or 0)
        if (
            len(path) != 3
            or path[0] != "lite-run"
            or not secrets.compare_digest(path[1].encode(), self.server.job_id.encode())
            or length > MAX_EVENT_BYTES
        ):
            self.close_connection = True
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = json.loads(self.rfile.read(length))
        if path[2] == "job":
            self.send_content(json.dumps(self.server.job).encode(), "application/json")
        else:
            self.server.events.put(body)
            self.send_content(b"null", "application/json")
