"""A proxy that sees file systems of its own, as small as a test wants them (Linux)."""

import os
import shutil
import subprocess
import sys

#: Mounts a tmpfs of a size on a folder, then becomes the program.
_MOUNT = 'mount -t tmpfs -o size="$1",mode=700 tmpfs "$2" && shift 2 && exec "$@"'


def small(folder, size):
    """Return what goes before a command so that it sees `folder` as a file system of `size`."""
    command = ["unshare", "--mount", "--propagation", "private"]
    if os.getuid():
        command += ["--user", "--map-root-user"]
    return [*command, "sh", "-c", _MOUNT, "sh", size, str(folder)]


def available():
    """True where such a proxy can be started."""
    if sys.platform != "linux" or not shutil.which("unshare"):
        return False
    return subprocess.run([*small("/mnt", "1m"), "true"], capture_output=True).returncode == 0


def seen_by(pid, path):
    """Return the path at which this process finds what another one sees at `path`."""
    return f"/proc/{pid}/root{path}"
