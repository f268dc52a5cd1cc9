"""What a command imports before it does anything."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["kernel_proxy", "lite_site.run"])
def test_no_grammar_is_built(command):
    started = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", command, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    imported = {line.rpartition("|")[2].strip() for line in started.stderr.splitlines()}
    assert started.returncode == 0 and "jsonschema._format" in imported
    assert not imported & {"lark", "rfc3987_syntax.syntax_helpers"}
