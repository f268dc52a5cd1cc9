"""What a later proxy knows of the cells of a session."""

import logging

import pytest

from kernel_proxy.session.cells import Cells
from kernel_proxy.session.record import Record
from kernel_proxy.session.state import SessionFolder


@pytest.fixture
def folder(tmp_path):
    return SessionFolder(tmp_path / "session", keep=True)


def later(folder):
    """The cells as the next proxy finds them."""
    return Cells(folder.load("cells"), [note["cell"] for note in folder.noted("sent")])


def recorded(folder):
    cells = Cells()
    return cells, Record("name", folder, cells, lambda: 0.0, logging.getLogger("test"))


def send(cells, record, identifier):
    cell = cells.add({"header": {"msg_id": identifier}, "content": {"code": "pass"}}, 1)
    cell.sent = True
    record.note_sent(cell)
    return cell


def test_a_cell_that_was_noted_and_not_saved_is_known(folder):
    cells, record = recorded(folder)
    send(cells, record, "a").begin()
    record.save_cells()
    send(cells, record, "b")
    known = later(folder)
    assert known.taken == ["a", "b"] and known.last_header == {"msg_id": "b"}
    assert known.get("a").state == "running" and known.get("b").sent


def test_what_was_saved_since_counts(folder, monkeypatch):
    """As after a kill between a save and the end of the notes."""
    cells, record = recorded(folder)
    monkeypatch.setattr(folder, "drop_notes", lambda name: None)
    for name in "abc":
        send(cells, record, name)
    cells.end("a", "ok")
    cells.see("a")
    cells.end("b", "ok")
    record.save_cells()
    known = later(folder)
    assert known.find("a") is None and known.taken[:2] == ["a", "b"]
    assert (known.get("b").state, known.get("c").state) == ("ended", "queued")


def test_notes_end_with_a_save(folder):
    cells, record = recorded(folder)
    send(cells, record, "a")
    record.save_cells()
    assert folder.noted("sent") == []


def test_a_note_that_was_cut_short_is_left_out(folder, tmp_path):
    cells, record = recorded(folder)
    send(cells, record, "a")
    [notes] = (tmp_path / "session").glob("*.jsonl")
    notes.write_bytes(notes.read_bytes() + b'{"cell": {"id": "b", "co')
    assert later(folder).taken == ["a"]


def test_notes_are_for_their_owner_alone(folder, tmp_path):
    cells, record = recorded(folder)
    send(cells, record, "a")
    [notes] = (tmp_path / "session").glob("*.jsonl")
    assert notes.stat().st_mode & 0o077 == 0
