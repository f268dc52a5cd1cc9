"""How a RemoteArray looks: made on the server, displayed here without its values."""

import asyncio
import math
import struct
import time
import zlib

import numpy as np
import pytest

from jupyterlite_torch._errors import TorchError
from jupyterlite_torch._remote_array import RemoteArray

pytestmark = pytest.mark.one_kernel


def looks(notebook, name="w", **options):
    """Return what the server says of how an array looks."""
    array = notebook.names[name]
    options = {"side": 128, **options}
    return notebook.wait(array._ask({"operation": "preview"}, (), options))


def make(notebook, code):
    notebook.torch(code, "--eager 0")
    assert isinstance(notebook.names["w"], RemoteArray)


def pixels(png):
    """Return (colour type, rows of bytes) of a PNG file without filters."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(png):
        (size,) = struct.unpack_from(">I", png, place)
        chunks[png[place + 4 : place + 8]] = png[place + 8 : place + 8 + size]
        place += size + 12
    width, height, depth, kind = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    data = zlib.decompress(chunks[b"IDAT"])
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[kind]
    assert depth == 8 and len(data) == height * (width * channels + 1)
    rows = np.frombuffer(data, "u1").reshape(height, -1)
    assert not rows[:, 0].any()
    return kind, rows[:, 1:].reshape(height, width, channels)


def test_numbers(notebook):
    make(notebook, "w = torch.arange(12, dtype=torch.float64).reshape(3, 4).T")
    found, here = looks(notebook), np.arange(12.0)
    assert (found["low"], found["high"], found["mean"]) == (0, 11, 5.5)
    assert math.isclose(found["std"], here.std())
    assert (found["elements"], found["sampled"], found["nan"]) == (12, 12, 0)
    assert found["first"] == here.reshape(3, 4).T.tolist()
    histogram = found["histogram"]
    assert sum(histogram["counts"]) == 12 and (histogram["from"], histogram["to"]) == (0, 11)


def test_what_is_no_number_is_counted(notebook):
    make(notebook, "i = float('inf')\nw = torch.tensor([1., 3., float('nan'), i, i, -i])")
    found = looks(notebook, buckets=300)
    assert (found["low"], found["high"], found["mean"], found["std"]) == (1, 3, 2, 1)
    assert (found["nan"], found["inf"], found["minus_inf"]) == (1, 2, 1)
    assert sum(found["histogram"]["counts"]) == 2
    low = found["curve"]["low"]
    assert low[:2] == [1, 3] and all(map(math.isnan, low[2:]))


KINDS = {
    "bool": "torch.arange(600).reshape(20, 30) % 2 == 0",
    "uint8": "torch.arange(600).reshape(20, 30).to(torch.uint8)",
    "int64": "torch.tensor([2**63 - 1, -2**63, 0])",
    "uint64": "torch.arange(600).reshape(20, 30).to(torch.uint64).T",
    "uint16": "torch.arange(600).reshape(20, 30).to(torch.uint16)[::2, ::3]",
    "uint32 with gaps": "torch.arange(4800).reshape(40, 120).to(torch.uint32)[::2, ::4]",
    "negated": "torch.randn(20, 30, dtype=torch.complex64).conj().imag",
    "float8 with gaps": "torch.randn(40, 60).to(torch.float8_e5m2)[::2, ::2]",
    "bfloat16": "torch.randn(20, 30).bfloat16()",
    "float8": "torch.randn(20, 30).to(torch.float8_e4m3fn).T",
    "complex64": "torch.randn(20, 30, dtype=torch.complex64).conj()[::2]",
    "complex32": "torch.randn(20, 30).to(torch.complex32)[:, ::2]",
    "0-d": "torch.tensor(2.5)",
    "nan": "torch.full((20, 30), float('nan'))",
    "4-d": "torch.randn(2, 3, 4, 5)",
    "parameter": "torch.nn.Parameter(torch.ones(20, 30))",
    "huge": "torch.tensor([1e308, -1e308], dtype=torch.float64)",
    "one": "torch.ones(1)",
    "expanded": "torch.ones(1).expand(10**6)",
    "inference": "torch.inference_mode()(lambda: torch.ones(20, 30))()",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(notebook, kind, capsys):
    # An inference tensor has no version.
    code = "_v = None if w.is_inference() else w._version"
    make(notebook, f"w = {KINDS[kind]}\n{code}")
    array = notebook.names["w"]
    found = looks(notebook, buckets=300, any_matrix=True)
    assert (found["picture"] is not None) == (array.ndim == 2 and bool(array.size))
    assert (found["curve"] is not None) == (array.ndim == 1 and bool(array.size))
    notebook.local("w")
    notebook.local("w.plot()")
    assert array._array is None and "not fetched" in array._repr_html_()
    assert notebook.torch("w.is_inference() or w._version == _v")
    if kind == "int64":
        assert (found["low"], found["high"]) == (-(2**63), 2**63 - 1)
    if kind == "complex64":
        assert found["absolute"] and found["low"] > 0 and isinstance(found["first"][0][0], complex)
    if kind == "nan":
        assert found["low"] is None and found["nan"] == 600 and found["histogram"] is None
    if kind == "bool":
        assert found["histogram"]["counts"] == [300, 300] and found["mean"] == 0.5


@pytest.mark.parametrize(
    ("code", "kind", "size", "corner"),
    [
        ("torch.arange(256.).reshape(16, 16)", 3, (16, 16), [0]),
        ("torch.arange(256).reshape(16, 16).to(torch.uint8)", 0, (16, 16), [0]),
        ("torch.ones(1, 20, 30)", 3, (20, 30), [0]),
        ("torch.zeros(20, 30, 3)", 2, (20, 30), [0, 0, 0]),
        ("torch.ones(3, 20, 30)", 2, (20, 30), [255, 255, 255]),
        ("torch.ones(4, 20, 30)", 6, (20, 30), [255] * 4),
        ("torch.full((500, 250, 3), 7, dtype=torch.uint8)", 2, (128, 64), [7] * 3),
        ("torch.full((20, 20), float('nan'))", 3, (20, 20), [255]),
    ],
)
def test_pictures(notebook, code, kind, size, corner):
    make(notebook, f"w = {code}")
    found = looks(notebook)["picture"]
    got, values = pixels(found["png"])
    assert (got, values.shape[:2]) == (kind, size) and values[0, 0].tolist() == corner
    assert size == (found["height"], found["width"])


def test_what_is_no_picture(notebook):
    for shape in ("(5,)", "(1000, 3)", "(5, 6)", "(2, 3, 32, 32)", "(7, 20, 30)"):
        make(notebook, f"w = torch.ones{shape}")
        assert looks(notebook)["picture"] is None
    make(notebook, "w = torch.ones(100_000, 3)")
    assert looks(notebook, any_matrix=True)["picture"]["width"] == 3


def test_a_large_tensor_is_sampled_in_all_its_rows_and_columns(notebook):
    notebook.torch(
        "import resource\n_w = torch.zeros(20_000, 1024)\n_w[:, 513] = 1\nw = _w.t()\n"
        "_w[:, ::2] = 3\n_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss"
    )
    began = time.monotonic()
    found = looks(notebook, any_matrix=True)
    assert time.monotonic() - began < 10
    assert 2**20 < found["sampled"] < 2**22 < found["elements"]
    counts = found["histogram"]["counts"]
    share = np.array([counts[0], counts[-1]]) / found["sampled"]
    assert np.allclose(share, [0.5, 0.5], atol=0.01) and sum(counts[1:-1]) > 1000
    notebook.torch("grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - _before")
    # KiB, of a tensor of 78 MiB.
    assert notebook.names["grown"] < 200 * 2**10
    notebook.torch("w = torch.zeros(10**7)\nw[5_000_000:] = 1")
    curve = looks(notebook, buckets=100)["curve"]
    assert len(curve["low"]) == 100 and (curve["low"][0], curve["high"][-1]) == (0, 1)


def test_without_elements(notebook):
    # Of no bytes at all it is here at once, but for a handle that outlives the elements.
    make(notebook, "w = torch.ones(3)")
    notebook.torch("w.resize_(0, 3)", "--no-auto")
    found = looks(notebook, any_matrix=True)
    assert found["first"] == [] and found["histogram"] is None and found["picture"] is None
    assert "no elements" in notebook.names["w"]._repr_html_()
    notebook.local("w.plot()")


def test_it_is_shown_without_being_fetched(notebook, monkeypatch):
    notebook.torch("w = torch.arange(10**6, dtype=torch.float64).reshape(1000, 1000)")
    array, html = notebook.names["w"], []
    monkeypatch.setattr(
        "IPython.core.formatters.HTMLFormatter.__call__",
        lambda self, value: html.append(value._repr_html_()) if value is array else None,
    )
    for cell, times in (("w", 1), ("w;", 0), ("w; 1", 0), ("w.shape\nw", 1)):
        notebook.local(cell)
        assert notebook.names["w"] is array and array._array is None
        assert len(html) == times, cell
        for text in html:
            assert "float64 (1000, 1000), 7.629 MiB on cpu" in text and "<svg" in text
            assert "data:image/png;base64," in text and ">500000<" in text
            assert "<script" not in text
        html.clear()
    notebook.local("display(w)")
    assert array._array is None and list(array._shown) == ["preview"]
    notebook.local("state = {'w': w}")
    notebook.local("v = w + 1; w")
    assert type(notebook.names["w"]) is np.ndarray
    assert array._repr_html_() is None and repr(array) == repr(notebook.names["w"])


def test_it_is_prepared_where_the_browser_can_not_wait(notebook, monkeypatch):
    notebook.torch("w = torch.randn(10**6)\nstate = [w]")
    shown = []

    def can_not_wait(coroutine):
        coroutine.close()
        raise TorchError("it lacks JSPI")

    monkeypatch.setattr(
        "jupyterlite_torch._remote_array.display", lambda data, raw: shown.append(data["text/html"])
    )
    notebook.notebook.can_wait = lambda: False
    array = notebook.names["w"]
    monkeypatch.setattr(array._source, "wait_for", can_not_wait)
    notebook.wait(notebook.notebook.bring("w"))
    assert "<svg" in array._repr_html_()
    notebook.local("if True:\n    w.plot()")
    assert "<path" in shown[0] and "999,999" in shown[0]
    notebook.wait(notebook.notebook.bring("1"))
    assert "lacks JSPI" in array._repr_html_() and "RemoteArray w" in array._repr_html_()
    notebook.local("state")
    assert notebook.names["state"][0] is array is notebook.names["w"]


def test_it_shows_what_it_is_now(notebook):
    notebook.torch("w = torch.zeros(10**6)\n_alias = w.view(-1)")
    notebook.local("w")
    notebook.torch("_alias += 5", "--no-auto")
    notebook.wait(notebook.notebook.bring("w"))
    assert ">5<" in notebook.names["w"]._repr_html_()


def test_where_none_can_be_had_it_says_why(notebook):
    notebook.torch("w = torch.zeros(10**6)")
    old = notebook.names["old"] = notebook.names["w"]
    notebook.torch("w = torch.ones(10**6)")
    notebook.local("old")
    assert "`w` had is not on the server any more" in old._repr_html_()
    assert "&lt;RemoteArray w: float32 (1000000,), 3.815 MiB on cpu&gt;" in old._repr_html_()
    w = notebook.names["w"]
    notebook.line("restart")
    notebook.torch("v = torch.zeros(10**6)")
    notebook.local("w.plot()\nw")
    assert "a kernel of the server that is gone" in w._repr_html_()
    notebook.line("disconnect")
    notebook.local("v")
    assert "is not connected" in notebook.names["v"]._repr_html_()


def test_a_server_that_is_silent_is_not_waited_for(notebook, monkeypatch):
    notebook.torch("w = torch.zeros(10**6)")
    array = notebook.names["w"]

    async def silent(*_):
        await asyncio.sleep(100)

    with monkeypatch.context() as patched:
        patched.setattr("jupyterlite_torch._remote_array.PREVIEW_TIMEOUT_S", 0.1)
        patched.setattr(type(notebook.connection.channel), "finish", silent)
        notebook.local("w")
        assert "did not say within 0.1 s" in array._repr_html_()
    notebook.local("w")
    assert "<svg" in array._repr_html_()


def test_aside_of_a_running_cell(notebook):
    notebook.torch("w = torch.ones(10**6)")
    notebook.torch("import time; time.sleep(30)", "--bg job")
    notebook.local("w.plot()\nw")
    assert "<svg" in notebook.names["w"]._repr_html_() and not notebook.names["job"].done()
    notebook.names["job"].stop()
