"""https and wss: with a given certificate, and with one made for localhost."""

import os
import stat
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from native_notebook import NativeNotebook

pytestmark = pytest.mark.program("openssl")


@pytest.fixture
def data(tmp_path):
    """A folder for what Jupyter keeps."""
    return {"JUPYTER_DATA_DIR": str(tmp_path)}


def is_there(url):
    """True when a proxy answers, who wants a token; URLError where there is no way to it."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{url}/kernel_proxy/api/v1/", timeout=30)
    with caught.value as answer:
        return answer.code == 401


def test_self_signed(start_proxy, data, tmp_path, loop, monkeypatch):
    proxy = start_proxy("--self-signed", env=data)
    cert, key = tmp_path / "torch-proxy/localhost.pem", tmp_path / "torch-proxy/localhost.key"
    assert proxy.url.startswith("https://")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    # Nobody trusts it without being told to.
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(proxy.url, timeout=30)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    assert is_there(proxy.url.replace("127.0.0.1", "localhost"))
    notebook = NativeNotebook(proxy, loop)
    sent = np.random.default_rng(0).integers(0, 255, 8 * 2**20, dtype="u1")
    notebook.names["sent"] = sent
    notebook.torch("came = sent.flip(0).clone()")
    assert (notebook.names["came"] == sent[::-1]).all()
    notebook.close()
    with pytest.raises((OSError, urllib.error.URLError)):
        urllib.request.urlopen(proxy.url.replace("https", "http"), timeout=30)
    first = cert.read_bytes()
    proxy.stop()
    proxy.start()
    assert cert.read_bytes() == first and is_there(proxy.url)
    # Given, what was made is a certificate like any other.
    given = start_proxy("--certfile", str(cert), "--keyfile", str(key))
    assert is_there(given.url)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--certfile", "{file}"], "belong together"),
        (["--certfile", "{file}", "--keyfile", "/nowhere.key"], "/nowhere.key"),
        (["--certfile", "{file}", "--self-signed"], "leave --certfile"),
    ],
)
def test_half_of_a_certificate(options, said, tmp_path):
    (tmp_path / "cert.pem").write_text("")
    options = [option.format(file=tmp_path / "cert.pem") for option in options]
    run = subprocess.run(
        [sys.executable, "-m", "kernel_proxy", "--port", "0", *options],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 1 and said in run.stderr and "Traceback" not in run.stderr


def test_no_openssl(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "kernel_proxy", "--port", "0", "--self-signed"],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PATH": str(tmp_path)},
    )  # fmt: skip
    assert run.returncode == 1 and "needs the program openssl" in run.stderr
