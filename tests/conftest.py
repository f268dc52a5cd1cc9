"""Tests that need a GPU are left out, by name, where there is none."""

import shutil
import subprocess


def pytest_collection_modifyitems(config, items):
    needing = [item for item in items if item.get_closest_marker("gpu")]
    if needing and not has_gpu():
        config.left_out = needing
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]


def pytest_terminal_summary(terminalreporter, config):
    for item in getattr(config, "left_out", ()):
        terminalreporter.write_line(f"left out, no CUDA device here: {item.nodeid}")


def has_gpu():
    """True where the driver lists a device."""
    if shutil.which("nvidia-smi") is None:
        return False
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    return listed.returncode == 0 and "GPU" in listed.stdout
