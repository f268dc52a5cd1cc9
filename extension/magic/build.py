"""Builds the magic's wheel into a folder: ``python build.py FOLDER``.

The folder then holds that one wheel. hatchling keeps the clock and the umask out of it: the same
sources give the same bytes, so that a rebuild does not change the wheel's URL.
"""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

PROJECT = Path(__file__).parent


def build_wheel(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if find_spec("hatchling"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    else:
        # Fetches hatchling into an environment of its own.
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(folder), "."]
    subprocess.run(command, cwd=PROJECT, check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


if __name__ == "__main__":
    print(build_wheel(Path(sys.argv[1]).resolve()))
