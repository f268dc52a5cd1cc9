"""What the docs say of the tests."""

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
SECURITY = TESTS.parent / "docs" / "security.md"


def test_every_test_that_security_names_exists():
    named = re.findall(r"(test_\w+\.py)::(test_\w+)", SECURITY.read_text())
    assert len(named) > 40
    for file, name in named:
        found = [path for path in TESTS.rglob(file) if f"def {name}(" in path.read_text()]
        assert found, f"{file}::{name}"
