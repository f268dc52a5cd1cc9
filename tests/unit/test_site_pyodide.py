"""The lock file of a local Pyodide."""

from pathlib import Path

import pytest

from lite_site.pyodide import complete_lock, relative_names


def package(file_name: str) -> dict[str, str]:
    return {"file_name": file_name}


def test_a_lock_is_completed_with_its_version_and_without_absent_packages():
    lock = {
        "info": {"python": "3.14.0"},
        "packages": {"numpy": package("numpy.whl"), "absent": package("absent.whl")},
    }
    assert complete_lock(lock, "314.0.3", {"numpy.whl", "pyodide.mjs"}) == {
        "info": {"python": "3.14.0", "version": "314.0.3"},
        "packages": {"numpy": package("numpy.whl")},
    }


def test_file_urls_become_paths_and_others_stay():
    distribution = Path("/somewhere/static/pyodide")
    lock = {
        "info": {},
        "packages": {
            "numpy": package("file:///somewhere/static/pyodide/numpy.whl"),
            "ipython": package("../../static/pyodide-lock/ipython.whl"),
        },
    }
    renamed = relative_names(lock, distribution, "../pyodide/")["packages"]
    assert renamed["numpy"]["file_name"] == "../pyodide/numpy.whl"
    assert renamed["ipython"]["file_name"] == "../../static/pyodide-lock/ipython.whl"


def test_a_file_outside_the_site_is_refused():
    lock = {"info": {}, "packages": {"stray": package("file:///elsewhere/stray.whl")}}
    with pytest.raises(ValueError, match="stray"):
        relative_names(lock, Path("/somewhere"), "../pyodide/")
