"""Tests that need what not every machine has are left out, by name, where it is lacking."""

import functools
import os
import shutil
import subprocess

import faketime
import namespaces
import pytest


def pytest_collection_modifyitems(config, items):
    lacking = {item: lack for item in items if (lack := what_lacks(item))}
    config.left_out = lacking
    config.hook.pytest_deselected(items=list(lacking))
    items[:] = [item for item in items if item not in lacking]


def pytest_terminal_summary(terminalreporter, config):
    for item, lack in getattr(config, "left_out", {}).items():
        terminalreporter.write_line(f"left out, no {lack} here: {item.nodeid}")


def what_lacks(item):
    """Return what a test needs and this machine has not, or None."""
    if item.get_closest_marker("gpu") and not has_gpu():
        return "CUDA device"
    if item.get_closest_marker("engine") and container_engine() is None:
        return "running container engine"
    if item.get_closest_marker("faketime") and faketime.LIBRARY is None:
        return "libfaketime"
    if item.get_closest_marker("mount") and not can_mount():
        return "right to mount a file system"
    for marker in item.iter_markers("program"):
        for name in marker.args:
            if program(name) is None:
                return name
    return None


def program(name):
    """Return the path of a program, None if there is none; servers are not on everybody's PATH."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin")


@functools.cache
def container_engine():
    """Return the name of the program that builds and runs containers here, None if none can."""
    for name in filter(program, ("podman", "docker")):
        asked = subprocess.run([name, "info"], capture_output=True, timeout=60)
        if asked.returncode == 0:
            return name
    return None


@pytest.fixture
def engine():
    return container_engine()


@functools.cache
def can_mount():
    return namespaces.available()


@functools.cache
def has_gpu():
    """True where the driver lists a device."""
    if shutil.which("nvidia-smi") is None:
        return False
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    return listed.returncode == 0 and "GPU" in listed.stdout
