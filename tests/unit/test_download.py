"""What a page tells the server of its line, so that a download comes coded or not."""

from jupyterlite_torch._download import Link, wanted_bytes


def asked_rate(*carried):
    link = Link()
    for each in carried:
        link.carried(*each)
    return wanted_bytes(0, None, link).get("Torch-Rate")


def test_an_unknown_line_is_not_told():
    assert asked_rate() is None


def test_a_slow_line_is_told_in_bytes_per_second():
    assert asked_rate((20e6, 2, False)) == "10000000"


def test_a_line_as_fast_as_the_machines_is_not_told():
    assert asked_rate((10e6, 1, False), (300e6, 1, False)) is None


def test_what_is_coded_only_raises_the_rate():
    assert asked_rate((100e6, 1, False), (5e6, 1, True)) == "100000000"
    assert asked_rate((5e6, 1, False), (100e6, 1, True)) == "100000000"
    # What is not coded says what the line carries now.
    assert asked_rate((100e6, 1, False), (5e6, 1, False)) == "5000000"
