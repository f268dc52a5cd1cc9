"""Which tests run, and beside which: those that need what this machine lacks are left out, by name."""

import fcntl
import functools
import os
import shutil
import subprocess

import faketime
import namespaces
import pytest

#: A page that starts its Python keeps two cores busy: on fewer than four one goes after the other.
PAGES_AT_ONCE = (os.cpu_count() or 1) >= 4


def pytest_configure(config):
    config.left_out = {}


def pytest_collection_modifyitems(config, items):
    items.sort(key=places({item.path for item in items}))
    lacking = {item: lack for item in items if (lack := what_lacks(item))}
    config.left_out = {item.nodeid: lack for item, lack in lacking.items()}
    config.hook.pytest_deselected(items=list(lacking))
    items[:] = [item for item in items if item not in lacking]


def places(files):
    """Return the order of tests by their file: those with pages spread evenly among the others, so that
    beside one there is mostly something else to do."""
    place = {}
    for pages in (True, False):
        alike = sorted(file for file in files if is_page(file) == pages)
        place |= {file: (n / len(alike), file) for n, file in enumerate(alike)}
    return lambda item: place[item.path]


def is_page(file):
    return file.parent.name == "browser"


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.left_out


def pytest_testnodedown(node, error):
    """Hear from a worker, which alone collects tests, what it left out."""
    node.config.left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """Let a test that is `alone` wait for those of the other workers, and keep them waiting.

    Outside of the test's own limit in time, so that only what it does itself counts.
    """
    with open(item.config.inipath) as everything, open(__file__) as pages:
        fcntl.flock(
            everything, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
        )
        if is_page(item.path) and not PAGES_AT_ONCE:
            fcntl.flock(pages, fcntl.LOCK_EX)
        return (yield)


def pytest_terminal_summary(terminalreporter, config):
    for test, lack in config.left_out.items():
        terminalreporter.write_line(f"left out, no {lack} here: {test}")


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
