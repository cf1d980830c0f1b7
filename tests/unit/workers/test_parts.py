"""The board, the pipe, a worker's place, and what a service manager says."""

from __future__ import annotations

import socket

import pytest

from seawall.host import Arena
from seawall.watch import Beat, Ready, Stopped
from seawall.workers.board import Board, Post
from seawall.workers.channel import Failed, Inbox, Outbox
from seawall.workers.member import status_text
from seawall.workers.station import Place
from seawall.workers.systemd import activated


@pytest.fixture
def pipe():
    ours, theirs = socket.socketpair()
    inbox, outbox = Inbox(ours), Outbox(theirs)
    yield inbox, outbox
    inbox.close()
    theirs.close()


class TestBoard:
    def test_what_one_writes_another_reads(self):
        arena = Arena.create()
        post = Post(2, 1, "ready", 4711, 3, 12, 10**12, 1.5, 2.5)
        Board(arena, 3).write([post])
        board = Board(arena, 3)
        assert list(board.read()) == [post]
        assert board.document()[0]["last_heartbeat"] == "1970-01-01T00:00:02.500Z"
        board.write([])
        assert board.document() == []
        arena.close()

    def test_what_never_was_is_nothing(self):
        assert Post(0, 0, "waiting", 0, 0, 0, 0, 0.0, 0.0).document()["started"] is None


class TestPipe:
    def test_messages_arrive_as_they_were_sent(self, pipe):
        inbox, outbox = pipe
        sent = [Ready(30.0, 60.0), Beat(1, 2), Failed("no", ("try",), 2), Stopped(9, tasks=("a",))]
        for each in sent:
            outbox.send(each)
        assert inbox.read() == sent
        assert inbox.read() == []
        assert not inbox.ended

    def test_a_message_in_pieces_is_one(self, pipe):
        inbox, outbox = pipe
        outbox.socket.send(b'{"type":"beat","requests":1,')
        assert inbox.read() == []
        outbox.socket.send(b'"connections":2}\n')
        assert inbox.read() == [Beat(1, 2)]

    def test_what_cannot_be_understood_does_no_harm(self, pipe):
        inbox, outbox = pipe
        outbox.socket.send(b'nonsense\n{"type":"unheard of"}\n')
        outbox.send(Beat(1, 2))
        assert inbox.read() == [Beat(1, 2)]

    def test_a_supervisor_that_does_not_read_holds_up_nobody_and_hears_the_end(self, pipe):
        inbox, outbox = pipe
        for number in range(50_000):
            outbox.send(Beat(number, 0))
        heard = inbox.read()
        assert 0 < len(heard) < 50_000
        outbox.send(Stopped(7), last=True)
        heard += inbox.read()
        assert heard[-1] == Stopped(7)
        assert all(isinstance(each, Beat) for each in heard[:-1]), "nothing is torn"

    def test_the_end_of_a_worker_is_noticed(self, pipe):
        inbox, outbox = pipe
        outbox.send(Beat(1, 2))
        outbox.socket.close()
        assert inbox.read() == [Beat(1, 2)]
        assert inbox.ended

    def test_nobody_there_is_no_error(self, pipe):
        inbox, outbox = pipe
        inbox.close()
        outbox.send(Beat(1, 2))
        outbox.send(Stopped(1), last=True)


def test_a_place_is_five_numbers():
    assert Place.parse("1,2,3,4,5") == Place(1, 2, 3, 4, 5)
    for wrong in ("", "1,2", "1,2,3,4,x"):
        with pytest.raises((TypeError, ValueError)):
            Place.parse(wrong)


@pytest.mark.parametrize(("status", "text"), [(0, "exit status 0"), (-9, "SIGKILL"), (-1000, "signal 1000")])
def test_statuses_in_words(status, text):
    assert status_text(status) == text


class TestActivation:
    def test_sockets_for_this_process(self):
        assert activated({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, 7) == (3, 4)

    @pytest.mark.parametrize(
        "environ",
        [{}, {"LISTEN_PID": "8", "LISTEN_FDS": "2"}, {"LISTEN_FDS": "2"}, {"LISTEN_PID": "7", "LISTEN_FDS": "x"}],
    )
    def test_none_for_others(self, environ):
        assert activated(environ, 7) == ()
