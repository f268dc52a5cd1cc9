"""The files of deploy/ do what docs/operations.md says."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import fronts
import pytest

from kernel_proxy.command import options

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@pytest.fixture
def home(tmp_path):
    """A home with a `jupyter`, and a token."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    jupyter = programs / "jupyter"
    # What the program `jupyter` does with a subcommand.
    jupyter.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -m kernel_proxy "$@"\n')
    jupyter.chmod(0o700)
    (tmp_path / ".torch-token").write_text("0123456789abcdef0123")
    return tmp_path


def understood(words):
    """Check that `jupyter torch-proxy` knows these options."""
    assert words[:2] == ["jupyter", "torch-proxy"]
    return options.parser().parse_args(words[2:])


@pytest.mark.program("systemd-analyze")
def test_systemd_unit(home):
    env = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    verify = ["systemd-analyze", "--user", "verify", str(DEPLOY / "torch-proxy.service")]
    ran = subprocess.run(verify, capture_output=True, text=True, env=env, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_systemd_unit_starts_the_proxy():
    unit = (DEPLOY / "torch-proxy.service").read_text()
    words = shlex.split(re.search(r"^ExecStart=(.*)$", unit, re.M)[1])
    assert words[0] == "%h/venv/bin/jupyter"
    assert understood(["jupyter", *words[1:]]).token_file == "%h/.torch-token"
    # What test_restart.py shows of a proxy that is stopped.
    assert "KillMode=process" in unit


@pytest.mark.program("shellcheck")
def test_slurm_script_has_no_mistakes():
    subprocess.run(["shellcheck", str(DEPLOY / "torch-proxy.slurm")], check=True, timeout=60)


def test_slurm_script_runs_a_proxy(home):
    port = str(fronts.free_port())
    env = {
        **os.environ,
        "HOME": str(home),
        "PATH": f"{home}/venv/bin:{os.environ['PATH']}",
        "TORCH_PAGE": "https://course.example",
        "TORCH_PORT": port,
    }
    process = subprocess.Popen(
        ["bash", str(DEPLOY / "torch-proxy.slurm")], stdout=subprocess.PIPE, text=True, env=env
    )
    said = ""
    while "In a notebook" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    assert f"-L 8889:127.0.0.1:{port} " in said and "0123456789" not in said
    url = f"http://127.0.0.1:{port}/kernel_proxy/api/v1/"
    with urllib.request.urlopen(f"{url}health", timeout=30) as answer:
        assert answer.status == 200
    # As Slurm does before the job's time is over.
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    process.stdout.close()


def test_slurm_script_needs_a_page(home):
    env = {key: value for key, value in os.environ.items() if key != "TORCH_PAGE"}
    ran = subprocess.run(
        ["bash", str(DEPLOY / "torch-proxy.slurm")], capture_output=True, text=True, env=env
    )
    assert ran.returncode != 0 and "set TORCH_PAGE" in ran.stderr


def test_containerfile_starts_the_proxy():
    text = (DEPLOY / "Containerfile").read_text()
    words = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.M)[1])
    arguments = understood([*words, "--origin", "https://name.github.io"])
    assert (arguments.ip, arguments.port) == ("0.0.0.0", options.DEFAULT_PORT)  # noqa: S104
    documented = (ROOT / "docs" / "operations.md").read_text()
    assert f"-p 127.0.0.1:{options.DEFAULT_PORT}:{options.DEFAULT_PORT}" in documented
    assert f":{arguments.token_file}:ro" in documented


@pytest.mark.engine
@pytest.mark.timeout(1800)
def test_container(tmp_path, engine):
    """Build it as its first lines say, without CUDA where an index of such builds is named, and run it."""
    wheels = tmp_path / "dist"
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(wheels), ROOT]
    subprocess.run(build, check=True)
    index = os.environ.get("TORCH_INDEX", "")
    image = [engine, "build", "--build-arg", f"TORCH_INDEX={index}", "-t", "torch-proxy-test"]
    subprocess.run([*image, "-f", str(DEPLOY / "Containerfile"), str(tmp_path)], check=True)
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123")
    token.chmod(0o644)
    port = fronts.free_port()
    run = [engine, "run", "--rm", "--init", "-p", f"127.0.0.1:{port}:8889"]
    run += ["-v", f"{token}:/run/secrets/torch-token:ro", "torch-proxy-test"]
    with fronts.running([*run, "--origin", "https://name.github.io"], port, tmp_path / "log"):
        ask = urllib.request.Request(
            f"http://127.0.0.1:{port}/kernel_proxy/api/v1/",
            headers={"Authorization": f"token {token.read_text()}"},
        )
        with urllib.request.urlopen(ask, timeout=60) as answer:
            assert json.loads(answer.read())["name"] == "jupyterlite-torch"
