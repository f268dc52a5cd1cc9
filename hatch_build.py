"""Build hook: the page extension goes into the wheel and, already built, into the sdist.

An editable install takes no part in this: it works before anything is built, and without Node.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LABEXTENSION = Path("build/labextension")
INSTALLED = "share/jupyter/labextensions/jupyterlite-torch"
# What the labextension is made of.
SOURCES = [
    "extension",
    "kernel_proxy/_version.py",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
]


class LabextensionHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        if is_stale(root):
            build(root)
        if self.target_name == "wheel":
            shared = build_data["shared_data"]
            shared[str(root / LABEXTENSION)] = INSTALLED
            shared[str(root / "extension/install.json")] = f"{INSTALLED}/install.json"


def is_stale(root: Path) -> bool:
    """Whether the labextension is missing or older than one of its sources."""
    built = root / LABEXTENSION / "package.json"
    if not built.exists():
        return True
    if (root / "PKG-INFO").exists():
        # An unpacked sdist; its labextension is the one that was built from it.
        return False
    paths = [root / source for source in SOURCES]
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return any(
        file.stat().st_mtime > built.stat().st_mtime
        for file in files
        if file.is_file() and "__pycache__" not in file.parts
    )


def build(root: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(
            "The page extension of jupyterlite-torch is not built, and building it needs npm, "
            "which is not on the PATH. Install Node.js 20 or newer, or install a wheel or an "
            "sdist of jupyterlite-torch, which carry the extension already built."
        )
    environment = os.environ | {"PYTHON": sys.executable}
    for command in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
        subprocess.run([npm, *command], cwd=root, env=environment, check=True)
