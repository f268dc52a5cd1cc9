"""A certificate for this machine alone (`--self-signed`), made by the program openssl."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

#: Apple's browsers take none that is valid for longer.
DAYS = 825
_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
_DAY_S = 86400


@dataclass(frozen=True)
class Certificate:
    """Files in PEM."""

    cert: Path
    key: Path


def self_signed(folder: Path) -> Certificate:
    """Return the certificate in `folder`, made anew unless it is good for another day: a browser
    that was told to trust it goes on to. OSError with a sentence when that can not be."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate = Certificate(folder / "localhost.pem", folder / "localhost.key")
    program = shutil.which("openssl")
    if program is None:
        raise OSError("--self-signed needs the program openssl; install it, or give --certfile.")
    if not (certificate.key.exists() and _lasts(program, certificate.cert)):
        _make(program, certificate)
    return certificate


def _lasts(program: str, cert: Path) -> bool:
    command = [program, "x509", "-in", cert, "-noout", "-checkend", str(_DAY_S)]
    return subprocess.run(command, capture_output=True).returncode == 0


def _make(program: str, certificate: Certificate) -> None:
    # Before openssl fills it: its own would be readable by others for a moment.
    os.close(os.open(certificate.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", str(DAYS), "-subj", "/CN=localhost", "-addext", _NAMES]
    # What only a certificate authority may do, this one may not: it is in a person's trust.
    command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    command += ["-addext", "extendedKeyUsage=serverAuth"]
    command += ["-keyout", certificate.key, "-out", certificate.cert]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        raise OSError(f"openssl could not make a certificate: {made.stderr.strip()[-500:]}")
