"""What is built and shipped: versions, the magic's wheel, the distribution's wheel."""

import json
import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from kernel_proxy._version import __version__

ROOT = Path(__file__).parents[2]
STARTUP = ROOT / "extension/magic/startup/50-jupyterlite-torch.py"


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def magic_wheel(tmp_path_factory):
    return build_magic(tmp_path_factory.mktemp("magic"))


def build_magic(folder):
    script = ROOT / "extension/magic/build.py"
    subprocess.run([sys.executable, script, folder], check=True, stdout=subprocess.DEVNULL)
    [wheel] = folder.iterdir()
    return wheel


def test_all_parts_have_one_version():
    package = json.loads((ROOT / "package.json").read_text())
    lock = json.loads((ROOT / "package-lock.json").read_text())
    magic = (ROOT / "extension/magic/jupyterlite_torch/__init__.py").read_text()
    assert package["version"] == __version__
    assert lock["version"] == lock["packages"][""]["version"] == __version__
    assert f'__version__ = "{__version__}"' in magic


def test_the_lock_file_names_no_registry():
    lock = json.loads((ROOT / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert not [name for name, entry in packages.items() if "resolved" in entry]
    assert not [name for name, entry in packages.items() if "integrity" not in entry]


def test_the_magic_is_a_pure_wheel_with_a_startup_file(magic_wheel):
    base = f"jupyterlite_torch_magic-{__version__}"
    # extension/rspack.config.js looks for this name, and Pyodide reads it.
    assert magic_wheel.name == f"{base}-py3-none-any.whl"
    assert f"{base}.data/data/etc/ipython/startup/{STARTUP.name}" in names(magic_wheel)
    assert "jupyterlite_torch/__init__.py" in names(magic_wheel)
    # Which `npm run build` has made of loops.wat.
    assert "jupyterlite_torch/loops.wasm" in names(magic_wheel)


def test_the_magic_names_no_dependencies(magic_wheel):
    """A site's lock (pyodide-lock 0.1.2) would look for a NumPy other than Pyodide's and fail."""
    with zipfile.ZipFile(magic_wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        assert "Requires-Dist" not in archive.read(name).decode()


def test_the_same_sources_give_the_same_magic(magic_wheel, tmp_path):
    assert build_magic(tmp_path).read_bytes() == magic_wheel.read_bytes()


@pytest.fixture
def shell():
    InteractiveShell.clear_instance()
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def run_startup(shell, monkeypatch, folder):
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "jupyterlite_torch", raising=False)
    before = set(shell.user_ns)
    shell.safe_execfile(str(STARTUP), shell.user_ns, raise_exceptions=True)
    monkeypatch.delitem(sys.modules, "jupyterlite_torch", raising=False)
    assert set(shell.user_ns) == before


def test_the_startup_file_loads_the_magic(shell, monkeypatch, tmp_path):
    module = "def load_ipython_extension(shell):\n    shell.loaded_by_test = True\n"
    (tmp_path / "jupyterlite_torch.py").write_text(module)
    run_startup(shell, monkeypatch, tmp_path)
    assert shell.loaded_by_test


def test_a_magic_that_can_not_load_says_so_and_spares_the_kernel(
    shell, monkeypatch, tmp_path, capsys
):
    (tmp_path / "jupyterlite_torch.py").write_text("import no_such_module")
    run_startup(shell, monkeypatch, tmp_path)
    warning = "%%torch could not be loaded: ModuleNotFoundError: No module named 'no_such_module'"
    assert capsys.readouterr().err == f"Warning: {warning}\n"
    with pytest.raises(ImportError, match="no_such_module"):
        shell.run_cell_magic("torch", "", "1 + 1")
    assert shell.run_cell("1 + 1").result == 2


@pytest.fixture
def unpacked_sdist(tmp_path):
    """What an sdist holds, with a stand-in for the built labextension."""
    root = tmp_path / "sdist"
    for folder in ("kernel_proxy", "lite_site", "extension/magic"):
        shutil.copytree(
            ROOT / folder,
            root / folder,
            ignore=shutil.ignore_patterns("_output", ".cache", "__pycache__"),
        )
    for name in ("pyproject.toml", "hatch_build.py", "LICENSE", "extension/install.json"):
        shutil.copy(ROOT / name, root / name)
    (root / "README.md").touch()
    (root / "PKG-INFO").write_text(
        f"Metadata-Version: 2.4\nName: jupyterlite-torch\nVersion: {__version__}\n"
    )
    wheel = root / "build/labextension/static/magic/0/jupyterlite_torch_magic.whl"
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    (root / "build/labextension/package.json").write_text("{}")
    return root


def test_the_distribution_holds_both_ends(unpacked_sdist, tmp_path):
    """Built as from an sdist, with no npm to be found."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"]
    environment = os.environ | {"PATH": ""}
    subprocess.run(command, cwd=unpacked_sdist, env=environment, check=True, capture_output=True)
    [wheel] = (tmp_path / "dist").iterdir()
    inside = names(wheel)
    labextension = (
        f"jupyterlite_torch-{__version__}.data/data/share/jupyter/labextensions/jupyterlite-torch"
    )
    for name in (
        "kernel_proxy/__init__.py",
        "lite_site/run.py",
        "lite_site/run.js",
        "jupyterlite_torch/__init__.py",
        f"{labextension}/package.json",
        f"{labextension}/install.json",
        f"{labextension}/static/magic/0/jupyterlite_torch_magic.whl",
    ):
        assert name in inside
    assert not [name for name in inside if name.endswith(".ipynb")]
    # An install changes nobody's Jupyter server: the extension is there, and off.
    with zipfile.ZipFile(wheel) as archive:
        [setting] = [name for name in inside if "/etc/jupyter/jupyter_server_config.d/" in name]
        listed = json.loads(archive.read(setting))["ServerApp"]["jpserver_extensions"]
    assert listed == {"kernel_proxy": False}


def test_a_labextension_is_stale_when_missing_or_older_than_a_source(tmp_path):
    is_stale = runpy.run_path(str(ROOT / "hatch_build.py"))["is_stale"]
    for name in ("extension/src/index.ts", "kernel_proxy/_version.py", "package.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "package-lock.json").touch()
    assert is_stale(tmp_path)
    built = tmp_path / "build/labextension/package.json"
    built.parent.mkdir(parents=True)
    built.touch()
    os.utime(built, (2e9, 2e9))
    assert not is_stale(tmp_path)
    os.utime(tmp_path / "extension/src/index.ts", (3e9, 3e9))
    assert is_stale(tmp_path)
