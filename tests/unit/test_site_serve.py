"""The static server."""

import http.client
from pathlib import Path

import pytest

from lite_site.serve import SiteError, SiteServer, running


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "lab").mkdir(parents=True)
    (site / "empty").mkdir()
    (site / "jupyter-lite.json").write_text("{}")
    (site / "lab" / "index.html").write_text("lab")
    for name in ("a.wasm", "a.mjs", "a.whl", "with space.ipynb"):
        (site / name).write_bytes(b"content")
    (tmp_path / "secret.txt").write_text("secret")
    return site


def get(
    server: SiteServer, path: str, method: str = "GET"
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(*server.server_address)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("base", ["/", "/some/path/", "some/path"])
def test_files_are_served_below_the_base(site: Path, base: str):
    with running(SiteServer(site, base=base)) as server:
        start = server.url.removeprefix(server.origin)
        assert start in ("/", "/some/path/")
        assert get(server, start + "lab/index.html")[::2] == (200, b"lab")
        assert get(server, start + "with%20space.ipynb")[::2] == (200, b"content")
        assert get(server, start + "lab/")[::2] == (200, b"lab")
        assert get(server, start + "lab/index.html?path=x", "HEAD")[::2] == (200, b"")
        assert get(server, start + "missing")[0] == 404
        assert get(server, start + "empty/")[0] == 404
        if start != "/":
            assert get(server, "/jupyter-lite.json")[0] == 404
            assert get(server, "/jupyter-lite.json", "HEAD")[0] == 404


@pytest.mark.parametrize(
    "path", ["../secret.txt", "%2e%2e/secret.txt", "lab/../../secret.txt", "..%2fsecret.txt"]
)
def test_nothing_outside_the_site_is_served(site: Path, path: str):
    with running(SiteServer(site, base="/x/")) as server:
        assert get(server, "/x/" + path)[0] == 404
        assert get(server, "/" + path)[0] == 404


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.wasm", "application/wasm"),
        ("a.mjs", "text/javascript"),
        ("a.whl", "application/octet-stream"),
        ("with%20space.ipynb", "application/json"),
    ],
)
def test_types_and_caching(site: Path, name: str, kind: str):
    with running(SiteServer(site)) as server:
        _, headers, _ = get(server, f"/{name}")
        assert headers["Content-Type"] == kind
        assert headers["Cache-Control"] == "no-store"


def test_the_overlay_comes_before_the_files(site: Path):
    overlay = {"jupyter-lite.json": b"[]", "new/page.html": b"new"}
    with running(SiteServer(site, base="/x/", overlay=overlay)) as server:
        assert get(server, "/x/jupyter-lite.json")[2] == b"[]"
        status, headers, content = get(server, "/x/new/page.html?q")
        assert (status, headers["Content-Type"], content) == (200, "text/html", b"new")


def test_a_folder_that_is_no_site_is_refused(tmp_path: Path):
    with pytest.raises(SiteError, match="is not a built"):
        SiteServer(tmp_path)
