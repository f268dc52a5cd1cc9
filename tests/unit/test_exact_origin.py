"""What is an origin."""

import pytest

from kernel_proxy.access.origins import exact_origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://name.github.io/course/", "https://name.github.io"),
        ("HTTP://LocalHost:8000", "http://localhost:8000"),
        ("https://a.example:443", "https://a.example"),
        ("http://[::1]:80/x", "http://[::1]"),
    ],
)
def test_exact_origin(text, origin):
    assert exact_origin(text) == origin


@pytest.mark.parametrize(
    "text", ["*", "null", "a.example", "https://*.a.example", "file:///x", "http://u:p@h"]
)
def test_no_origin(text):
    with pytest.raises(ValueError, match="origin"):
        exact_origin(text)
