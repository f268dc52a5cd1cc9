"""Build the demo site: `python -m lite_site.build [--pyodide local|cdn|auto] [--output DIR]`.

The result is a folder of static files that works under any path of any web server, with no
special headers. `--pyodide local` puts Pyodide and every Python package that the site starts with
into that folder, so nothing is fetched from elsewhere at run time; `cdn` leaves Pyodide on its
public CDN, which is right for a site on the Internet; `auto` takes the CDN where it can be reached.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from lite_site import pyodide

HERE = Path(__file__).parent
ROOT = HERE.parent
CACHE = HERE / ".cache"
CDN_TIMEOUT_S = 3


def cdn_answers() -> bool:
    """Whether the CDN that a plain build points to can be reached from here."""
    from jupyterlite_pyodide_kernel.constants import PYODIDE_LOCK_DEFAULT_URL

    request = urllib.request.Request(PYODIDE_LOCK_DEFAULT_URL, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=CDN_TIMEOUT_S):
            return True
    except (OSError, urllib.error.URLError):
        return False


def build(source: str, output: Path) -> None:
    """Build the site into `output`, with Pyodide from `source` (`local` or `cdn`)."""
    # `jupyter lite build` takes what lies in static/pyodide of its folder for the site's Pyodide,
    # so each source has a folder of its own.
    lite_dir = CACHE / source
    lite_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "jupyter-lite.json", lite_dir)
    command = [sys.executable, "-m", "jupyterlite_core", "build"]
    command += ["--lite-dir", str(lite_dir), "--output-dir", str(output)]
    command += ["--contents", str(HERE / "notebooks"), "--no-sourcemaps"]
    distribution = lite_dir / "static" / "pyodide"
    if source == "local":
        pyodide.prepare(distribution)
        # Needed with a local Pyodide too: without it the lock's own packages have no URL.
        lock_url = (distribution / pyodide.LOCK).as_uri()
        command += ["--pyodide-lock", "--pyodide-lock-url", lock_url]
    # A fresh folder and no memory of earlier tasks (kept in the working directory): what was
    # renamed or taken out since the last build must not stay in the site.
    shutil.rmtree(output, ignore_errors=True)
    (lite_dir / ".jupyterlite.doit.db").unlink(missing_ok=True)
    environment = {**os.environ, "JUPYTERLITE_CACHE_DIR": str(lite_dir / ".cache")}
    # uv 0.13 needs no Python to resolve for the browser's, and would download one all the same.
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    log = lite_dir / "build.log"
    with log.open("wb") as sink:
        done = subprocess.run(
            command, cwd=lite_dir, env=environment, stdout=sink, stderr=subprocess.STDOUT
        )
    if done.returncode:
        raise SystemExit(f"{log.read_text()}\n`jupyter lite build` failed; its output is above.")
    if source == "local":
        lock_file = output / "static" / "pyodide-lock" / pyodide.LOCK
        lock = json.loads(lock_file.read_text())
        lock = pyodide.relative_names(lock, distribution, "../pyodide/")
        lock_file.write_text(json.dumps(lock))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m lite_site.build", description=__doc__)
    parser.add_argument("--pyodide", choices=("local", "cdn", "auto"), default="local")
    parser.add_argument("--output", type=Path, default=HERE / "_output", metavar="DIR")
    options = parser.parse_args(arguments)
    source = options.pyodide
    if source == "auto":
        source = "cdn" if cdn_answers() else "local"
    build(source, options.output.resolve())
    print(f"Built {options.output} (Pyodide: {source})")


if __name__ == "__main__":
    main()
