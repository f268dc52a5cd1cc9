"""`jupyter torch-proxy doctor`, against real faults."""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading

import fronts
import pytest
from proxy import ORIGIN

from kernel_proxy import __version__
from kernel_proxy.command import doctor
from kernel_proxy.command.finding import OK, PROBLEM, WARNING
from kernel_proxy.command.page_check import check_address
from kernel_proxy.command.tls import self_signed


def run(*arguments, **env):
    """Run it as a person does; return its status and what it said."""
    env = {**os.environ, **{key: str(value) for key, value in env.items()}}
    ran = subprocess.run(
        [sys.executable, "-m", "kernel_proxy", "doctor", *arguments],
        capture_output=True, text=True, timeout=120, env=env,
    )  # fmt: skip
    assert not ran.stderr, ran.stderr
    return ran.returncode, ran.stdout


def problem_of(findings):
    """Return the one problem that there is."""
    (found,) = [finding for finding in findings if finding.level == PROBLEM]
    assert found.advice
    return found.text


def meets(address, origin=ORIGIN, token=None):
    return list(check_address(address, origin, token))


def spec(folder, name, code):
    """Make a kernelspec whose Python runs `code`."""
    (folder / "kernels" / name).mkdir(parents=True)
    argv = [sys.executable, "-c", code, "-f", "{connection_file}"]
    described = {"argv": argv, "display_name": name, "language": "python"}
    (folder / "kernels" / name / "kernel.json").write_text(json.dumps(described))


@contextlib.contextmanager
def another_program():
    """A web server that is no proxy."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_a_machine_on_which_all_is_well(tmp_path):
    port = str(fronts.free_port())
    options = ("--port", port, "--state", str(tmp_path / "state"), "--shared-memory", "64")
    status, said = run(*options, "--site", "https://course.example/page/", "--event-log", "1")
    assert status == 0 and "problem" not in said
    import torch

    for line in (
        f"Kernel 'python3' ({sys.executable}): torch {torch.__version__} on ",
        f"Port {port} of 127.0.0.1 is free.",
        "Arrays on their way have 0.1 GiB of memory.",
        f"State goes to {tmp_path / 'state'}.",
        "Pages of https://course.example are let in.",
    ):
        assert f"ok       {line}" in said, said
    # It only looks.
    assert not list(tmp_path.iterdir())


def test_kernels_that_would_not_do(tmp_path):
    launch = "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
    spec(tmp_path, "bare", f"import sys; sys.modules['torch'] = None; {launch}")
    spec(tmp_path, "broken", "raise SystemExit('no kernel here')")
    names = [part for name in ("bare", "broken", "nowhere") for part in ("--kernel", name)]
    status, said = run("--port", str(fronts.free_port()), *names, JUPYTER_PATH=tmp_path)
    assert status == 1
    assert "problem  The kernel 'bare' of the server has no PyTorch." in said
    assert f"-> {sys.executable} -m pip install torch\n" in said
    assert "no kernel here" in said
    assert "There is no kernelspec 'nowhere'; there are: bare, broken, python3." in said


SMI = """#!/bin/sh
echo '0, NVIDIA H200, 550.54.15, 1024, 143771, 37'
"""


@pytest.mark.parametrize(
    ("smi", "said"),
    [
        (SMI, "torch of the kernel 'python3' sees no GPU"),
        ("#!/bin/sh\necho 'NVIDIA-SMI has failed.'; exit 9", "NVIDIA-SMI has failed."),
    ],
)
def test_a_gpu_that_is_of_no_use(smi, said, tmp_path):
    # No GPU here: what stands in for the driver's program says that there is one, or that it failed.
    (tmp_path / "nvidia-smi").write_text(smi)
    (tmp_path / "nvidia-smi").chmod(0o700)
    hidden = {"CUDA_VISIBLE_DEVICES": "", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    status, found = run("--port", str(fronts.free_port()), **hidden)
    assert status == 1 and said in found


def test_who_has_the_port(proxy):
    assert doctor.check_port("127.0.0.1", proxy.port).level == OK
    assert "A running torch-proxy has port" in doctor.check_port("127.0.0.1", proxy.port).text
    known = doctor.check_port("127.0.0.1", proxy.port, proxy.token).text
    assert f"A running torch-proxy {__version__} has port" in known
    with another_program() as port:
        found = doctor.check_port("127.0.0.1", port)
        assert found.level == PROBLEM and "no torch-proxy" in found.text
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # It takes no connection, so nothing answers.
        silent.listen(0)
        assert doctor.check_port("127.0.0.1", silent.getsockname()[1]).level == PROBLEM
    assert doctor.check_port("127.0.0.1", fronts.free_port()).level == OK


def test_the_state_folder(tmp_path, start_proxy):
    open_to_others = tmp_path / "open"
    open_to_others.mkdir(mode=0o755)
    assert "Others may enter" in problem_of(doctor.check_state(open_to_others, 1))
    (full,) = doctor.check_state(tmp_path / "new", 2**62)
    assert full.level == WARNING and "--event-log" in full.advice
    start_proxy("--state", str(tmp_path / "state"))
    (used,) = doctor.check_state(tmp_path / "state", 1)
    assert used.level == OK and "which a proxy is using" in used.text


def test_more_memory_than_there_is():
    warning = next(doctor.check_memory(2**60))
    assert warning.level == WARNING and "--shared-memory" in warning.advice


@pytest.mark.parametrize("origin", ["*", "null", "https://*.github.io", "course.example"])
def test_origins_that_are_none(origin):
    assert "origin" in problem_of(doctor.check_origins([origin]))


def test_no_origin_and_a_shared_one():
    assert [finding.level for finding in doctor.check_origins([])] == [WARNING]
    levels = [finding.level for finding in doctor.check_origins(["https://name.github.io/x/"])]
    assert levels == [OK, WARNING]


def test_an_address_where_all_is_well(proxy):
    status, said = run("--address", proxy.url, "--origin", ORIGIN, JUPYTER_TORCH_TOKEN=proxy.token)
    assert status == 0 and proxy.token not in said
    for line in ("lets pages of", "Preflights are answered", "WebSockets pass", "protocol 1"):
        assert line in said


def test_what_stops_a_page(proxy):
    assert "does not let pages of http://evil.example in" in problem_of(
        meets(proxy.url, "http://evil.example")
    )
    assert "does not know the token" in problem_of(meets(proxy.url, token="x" * 20))
    with another_program() as port:
        assert "is no torch-proxy" in problem_of(meets(f"http://127.0.0.1:{port}"))
    assert "Nothing answers" in problem_of(meets(f"http://127.0.0.1:{fronts.free_port()}"))
    with socket.create_server(("127.0.0.1", 0)) as ssh:
        threading.Thread(target=greet, args=(ssh,)).start()
        url = f"http://127.0.0.1:{ssh.getsockname()[1]}"
        assert "does not speak HTTP" in problem_of(meets(url))
    status, said = run("--address", "ftp://x", "--origin", ORIGIN)
    assert status == 1 and "'ftp://x' is no origin" in said
    status, said = run("--address", proxy.url)
    assert status == 1 and "not said for which page" in said


def greet(listening):
    connection, _ = listening.accept()
    with connection:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.recv(2000)


def test_a_page_of_https_and_an_address_of_http(start_proxy):
    proxy = start_proxy("--origin", "https://course.example")
    here = meets(proxy.url, "https://course.example")
    assert [finding.level for finding in here][:2] == [WARNING, OK]
    there = meets("http://gpu.invalid:8889", "https://course.example")
    assert "A browser lets no page of https talk to" in there[0].text


@pytest.mark.program("nginx", "openssl")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("proxy_set_header Upgrade $http_upgrade;", "", "A WebSocket can not be opened"),
        ("proxy_set_header Upgrade", "proxy_set_header Host gpu.example.org; proxy_set_header Upgrade", "host name"),
        ("location /kernel_proxy/", "location /elsewhere/", "is no torch-proxy"),
        ("proxy_http_version 1.1;", "proxy_hide_header Access-Control-Allow-Origin; proxy_http_version 1.1;",
         "CORS headers are lost"),
        ("proxy_http_version 1.1;", "if ($request_method = OPTIONS) { return 401; } proxy_http_version 1.1;",
         "A preflight (OPTIONS) is answered with 401"),
    ],
)  # fmt: skip
def test_reverse_proxies_that_are_set_up_wrongly(old, new, said, proxy, tmp_path, monkeypatch):
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.cert))
    monkeypatch.setattr(fronts, "documented", changed(old, new))
    with fronts.nginx(tmp_path, proxy, certificate) as url:
        assert said in problem_of(meets(url))


def changed(old, new):
    documented = fronts.documented
    return lambda *names: fronts.replaced(documented(*names), **{old: new})


@pytest.mark.program("nginx", "openssl")
def test_a_certificate_that_nobody_trusts(proxy, tmp_path):
    with fronts.nginx(tmp_path, proxy, self_signed(tmp_path)) as url:
        assert "is not trusted here" in problem_of(meets(url))
