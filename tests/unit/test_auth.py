"""Tokens, codes and origins."""

import pytest

from kernel_proxy import auth


def test_tokens():
    tokens = auth.Tokens("right", "also")
    assert tokens.accepts("right") and tokens.accepts("also")
    assert not tokens.accepts("") and not tokens.accepts("righ")


def test_code_is_good_once_in_any_spelling():
    tokens = auth.Tokens("t" * 20)
    code = tokens.new_code()
    token = tokens.redeem(code.lower().replace("-", ""))
    assert tokens.accepts(token) and tokens.redeem(code) is None


def test_code_grows_old(monkeypatch):
    tokens = auth.Tokens()
    code = tokens.new_code()
    now = auth.time.monotonic()
    monkeypatch.setattr(auth.time, "monotonic", lambda: now + auth.CODE_LIFETIME_S + 1)
    assert tokens.redeem(code) is None


def test_guessing_voids_the_code():
    tokens = auth.Tokens()
    code = tokens.new_code()
    for _ in range(auth.CODE_TRIES):
        assert tokens.redeem("AAAAAAAA") is None
    assert tokens.redeem(code) is None


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
    assert auth.exact_origin(text) == origin


@pytest.mark.parametrize(
    "text", ["*", "null", "a.example", "https://*.a.example", "file:///x", "http://u:p@h"]
)
def test_no_origin(text):
    with pytest.raises(ValueError, match="origin"):
        auth.exact_origin(text)
