"""What the docs say of the tests, and what the tests give the docs."""

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
SECURITY = ROOT / "docs" / "security.md"


def test_every_test_that_security_names_exists():
    named = re.findall(r"(test_\w+\.py)::(test_\w+)", SECURITY.read_text())
    assert len(named) > 40
    for file, name in named:
        found = [path for path in TESTS.rglob(file) if f"def {name}(" in path.read_text()]
        assert found, f"{file}::{name}"


def test_every_picture_is_shown_and_taken_by_a_test():
    (line,) = re.findall(r"^PICTURES = (.*)$", (ROOT / "Makefile").read_text(), re.M)
    taken = set(line.split())
    assert taken == {path.name for path in (ROOT / "docs").glob("*.png")}
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = set().union(
        *(re.findall(r"\]\((?:docs/)?([\w-]+\.png)\)", t.read_text()) for t in texts)
    )
    assert taken == shown
    tests = "".join(path.read_text() for path in (TESTS / "browser").glob("test_*.py"))
    for name in taken:
        assert f'artifacts / "{name}"' in tests, name
