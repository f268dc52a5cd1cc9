"""What people put before a proxy: nginx and Caddy as docs/hosting.md configures them, and an SSH tunnel.

Each is a context manager that yields the address at which the proxy is found behind it.
"""

import contextlib
import getpass
import re
import socket
import subprocess
import time
from pathlib import Path

from conftest import program

HOSTING = Path(__file__).parents[1] / "docs" / "hosting.md"
PATIENCE_S = 30


def documented(language, containing):
    """Return the one block of docs/hosting.md in `language` that has the text `containing`."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", HOSTING.read_text(), re.M | re.S)
    (block,) = [text for name, text in blocks if name == language and containing in text]
    return block


def replaced(text, **pieces):
    """Put what a test needs into a documented text, in which each piece must stand."""
    for old, new in pieces.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def running(command, port, log, **options):
    """Run a program until the block ends; the block begins when it listens on `port`."""
    with open(log, "w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, **options)
        try:
            wait_for(port, process, log)
            yield process
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE_S)


def wait_for(port, process, log):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, Path(log).read_text()
            time.sleep(0.02)


@contextlib.contextmanager
def nginx(folder, proxy, certificate, extra=""):
    """nginx as documented, with the lines `extra` in its server."""
    port = free_port()
    documented_text = replaced(
        documented("nginx", "proxy_pass"),
        **{
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl; {extra}",
            "/etc/ssl/gpu.example.org.pem": str(certificate.cert),
            "/etc/ssl/gpu.example.org.key": str(certificate.key),
            "127.0.0.1:8889": f"127.0.0.1:{proxy.port}",
        },
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        # One process of this user, who alone may enter the folder.
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary_paths(folder)}\n{documented_text}}}\n"
    )
    command = [program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
    with running(command, port, folder / "nginx.log"):
        yield f"https://localhost:{port}"


def temporary_paths(folder):
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)


@contextlib.contextmanager
def caddy(folder, proxy, certificate):
    """Caddy as documented, with a certificate that is there already."""
    port = free_port()
    site = replaced(
        documented("caddy", "reverse_proxy"),
        **{
            "gpu.example.org {": f"https://localhost:{port} {{\n"
            f"    tls {certificate.cert} {certificate.key}",
            "127.0.0.1:8889": f"127.0.0.1:{proxy.port}",
        },
    )
    configuration = folder / "Caddyfile"
    configuration.write_text(f"{{\n    admin off\n    auto_https off\n}}\n{site}")
    command = [program("caddy"), "run", "--config", str(configuration), "--adapter", "caddyfile"]
    home = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    with running(command, port, folder / "caddy.log", env=home):
        yield f"https://localhost:{port}"


@contextlib.contextmanager
def ssh_tunnel(folder, proxy):
    """`ssh -L` as documented, to a server of this user's own."""
    here, there = free_port(), free_port()
    for name in ("host", "person"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
    (folder / "authorized").write_text((folder / "person.pub").read_text())
    (folder / "sshd.conf").write_text(
        f"Port {there}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
        f"AuthorizedKeysFile {folder}/authorized\nPidFile {folder}/pid\nStrictModes no\n"
        "UsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    (folder / "ssh.conf").write_text(
        f"Host gpubox\nHostName 127.0.0.1\nPort {there}\nUser {getpass.getuser()}\n"
        f"IdentityFile {folder}/person\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\n"
        "StrictHostKeyChecking accept-new\nExitOnForwardFailure yes\nBatchMode yes\n"
    )
    line = documented("", "ssh -L").split()
    assert line == ["ssh", "-L", "8889:127.0.0.1:8889", "gpubox"]
    tunnel = ["ssh", "-F", f"{folder}/ssh.conf", "-N", "-L", f"{here}:127.0.0.1:{proxy.port}"]
    server = [program("sshd"), "-D", "-e", "-f", str(folder / "sshd.conf")]
    with (
        running(server, there, folder / "sshd.log"),
        running([*tunnel, line[-1]], here, folder / "ssh.log"),
    ):
        yield f"http://127.0.0.1:{here}"
