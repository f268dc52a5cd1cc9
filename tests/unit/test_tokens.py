"""Page tokens and pairing codes, by a clock that the test sets."""

import itertools
import random

import pytest

from kernel_proxy.access.tokens import (
    CODE_LIFETIME_S,
    CODE_TRIES,
    DAY_S,
    MAX_CODES,
    MAX_TOKENS,
    Tokens,
)

PAGE = "https://name.example"
WEEK_S = 7 * DAY_S


class Clock:
    """A machine's clocks: `wall` can be put right, `up` can not, and a `boot` begins it anew."""

    def __init__(self):
        self.wall, self.up, self.boot = 1_700_000_000.0, 1000.0, "first"

    def __call__(self):
        up = {"up": self.up, "boot": self.boot} if self.boot else {}
        return {"wall": self.wall, **up}

    def pass_by(self, seconds):
        self.wall += seconds
        self.up += seconds

    def reboot(self):
        self.up, self.boot = 5.0, f"{self.boot} again"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tokens(tmp_path, clock):
    return Tokens(tmp_path, WEEK_S, clock)


def paired(tokens, person="ana", origin=PAGE):
    return tokens.redeem(tokens.new_code(person, origin), origin)


def test_a_page_token_is_good_for_its_origin_alone(tokens):
    token = paired(tokens)
    assert tokens.find(token, PAGE).person == "ana"
    for other in (
        None,
        "",
        "null",
        "http://name.example",
        f"{PAGE}:8443",
        PAGE.upper(),
        f"{PAGE}/",
    ):
        assert tokens.find(token, other) is None
    for other in ("", token[:-1], token + "x", token.swapcase()):
        assert tokens.find(other, PAGE) is None


def test_one_that_is_printed_is_good_for_any_page_and_for_programs(tokens):
    token = tokens.new_token("ana")
    assert tokens.find(token, PAGE) and tokens.find(token, None)


def test_the_file_holds_no_secret_and_is_for_its_owner(tokens, tmp_path):
    code = tokens.new_code("ana")
    token = paired(tokens)
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        assert token not in file.read_text()
        assert code not in file.read_text() and code.replace("-", "") not in file.read_text()


def test_two_that_share_the_file_see_each_other(tokens, tmp_path, clock):
    command = Tokens(tmp_path, now=clock)
    token = tokens.redeem(command.new_code("ana", PAGE), PAGE)
    [known] = command.good()
    assert tokens.find(token, PAGE).id == known.id
    assert command.revoke(known.id) and not command.revoke(known.id)
    assert tokens.find(token, PAGE) is None
    assert tokens.why_void(known.id) == "was revoked"
    token, code = paired(tokens), tokens.new_code("ana", PAGE)
    assert command.revoke_all() == 1
    assert tokens.find(token, PAGE) is None and tokens.redeem(code, PAGE) is None


def test_a_damaged_file_voids_all(tokens, tmp_path):
    token = paired(tokens)
    [known] = tokens.good()
    (tmp_path / "tokens.json").write_text('{"tokens": [')
    assert "damaged" in tokens.why_void(known.id)
    for refused in (lambda: tokens.find(token, PAGE), lambda: tokens.new_code("ana"), tokens.begin):
        with pytest.raises(ValueError, match="remove it, which voids all tokens"):
            refused()


def test_each_use_moves_the_end(tokens, clock):
    token = paired(tokens)
    [known] = tokens.good()
    for _ in range(10):
        clock.pass_by(WEEK_S - 3600)
        assert tokens.find(token, PAGE)
    clock.pass_by(WEEK_S + 1)
    assert tokens.find(token, PAGE) is None
    assert tokens.why_void(known.id).startswith("has expired")
    assert tokens.good() == [] and tokens.begin() == 1


def test_uses_are_written_down_once_an_hour(tokens, clock, tmp_path):
    token = paired(tokens)
    written = set()
    for _ in range(90):
        clock.pass_by(60)
        assert tokens.find(token, PAGE)
        written.add((tmp_path / "tokens.json").stat().st_ino)
    assert len(written) == 2


@pytest.mark.parametrize("years", [-50, -1, 1, 50])
def test_a_clock_that_jumps_while_the_machine_runs_changes_nothing(tokens, clock, years):
    token = paired(tokens)
    clock.wall += years * 365 * DAY_S
    assert tokens.begin() == 0 and tokens.find(token, PAGE)
    clock.pass_by(WEEK_S - 3600)
    assert tokens.find(token, PAGE)
    clock.pass_by(WEEK_S + 1)
    assert tokens.find(token, PAGE) is None


@pytest.mark.parametrize("boot", ["first", ""])
def test_a_token_of_the_future_lives_no_longer_than_others(tokens, clock, boot):
    """The clock was wrong when it was made, and has been put right over a start of the machine."""
    clock.boot = boot
    token = paired(tokens)
    clock.wall -= 10 * 365 * DAY_S
    if boot:
        clock.reboot()
    assert tokens.begin() == 0 and tokens.find(token, PAGE)
    clock.pass_by(WEEK_S + 1)
    assert tokens.find(token, PAGE) is None


def test_what_expires_over_a_start_of_the_machine_is_counted(tokens, clock):
    tokens_of_pages = [paired(tokens) for _ in range(3)]
    clock.wall += WEEK_S + 1
    clock.reboot()
    assert tokens.begin() == 3
    assert not any(tokens.find(token, PAGE) for token in tokens_of_pages)


def test_the_setting_of_the_proxy_that_runs_counts(tokens, tmp_path, clock):
    token = paired(tokens)
    shorter = Tokens(tmp_path, DAY_S, clock)
    clock.pass_by(DAY_S / 2)
    assert shorter.begin() == 0
    clock.pass_by(DAY_S / 2 + 1)
    assert shorter.find(token, PAGE) is None


def test_a_code_is_good_once_in_any_spelling_for_its_page_and_not_for_long(tokens, clock):
    code = tokens.new_code("ana", PAGE)
    assert tokens.redeem(code, "https://other.example") is None
    assert tokens.redeem(code.lower().replace("-", ""), PAGE)
    assert tokens.redeem(code, PAGE) is None
    code = tokens.new_code("ana", PAGE)
    clock.pass_by(CODE_LIFETIME_S + 1)
    assert tokens.redeem(code, PAGE) is None


def test_a_guesser_gets_nowhere(tokens):
    """All tries together void all codes, whoever makes them and however many codes wait."""
    codes = [tokens.new_code("ana", PAGE) for _ in range(MAX_CODES)]
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    guesses = ("".join(random.choices(letters, k=8)) for _ in itertools.count())
    for guess in itertools.islice(guesses, CODE_TRIES):
        assert tokens.redeem(guess, PAGE) is None
    assert [tokens.redeem(code, PAGE) for code in codes] == [None] * MAX_CODES
    # A chance of 1 in 32**8 for each of the tries, for each of the codes.
    assert CODE_TRIES * MAX_CODES / 32**8 < 1e-10
    assert all(len(set(code) - {"-"} - set(letters)) == 0 for code in codes)


def test_when_nothing_waits_a_guess_writes_nothing(tokens, tmp_path):
    for _ in range(100):
        assert tokens.redeem("AAAA-AAAA", PAGE) is None
    assert not (tmp_path / "tokens.json").exists()


def test_there_is_a_bound_on_tokens_and_codes(tokens, clock):
    first = paired(tokens)
    clock.pass_by(1)
    for _ in range(MAX_TOKENS):
        tokens.new_token("ana")
    assert len(tokens.good()) == MAX_TOKENS and tokens.find(first, PAGE) is None
    codes = [tokens.new_code("ana", PAGE) for _ in range(MAX_CODES + 1)]
    assert tokens.redeem(codes[0], PAGE) is None and tokens.redeem(codes[1], PAGE)


def test_the_first_person_stays_the_first(tokens, tmp_path, clock):
    assert tokens.first_person("ana") == "ana"
    assert Tokens(tmp_path, now=clock).first_person("bo") == "ana"
