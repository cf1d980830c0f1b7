"""A transport to nowhere, for tests of the protocol classes without sockets."""

from __future__ import annotations

import asyncio
import socket

__all__ = ["Transport"]


class Socket:
    """What is asked of the socket below: its addresses, and whether it lingers when it is closed."""

    family = socket.AF_INET
    lingers = True

    def getpeername(self):
        return "127.0.0.1", 5

    def getsockname(self):
        return "127.0.0.1", 80

    def setsockopt(self, level, option, value):
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER)
        self.lingers = False


class Transport(asyncio.Transport):
    """Keeps what is written; ``waiting`` is how much of it the client has not taken."""

    def __init__(self):
        self.socket = Socket()
        super().__init__({"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 80), "socket": self.socket})
        self.written = b""
        self.closing = self.half_closed = self.paused = False
        self.protocol = None
        self.waiting = 0

    def write(self, data):
        self.written += data

    def get_write_buffer_size(self):
        return self.waiting

    def write_eof(self):
        self.half_closed = True

    def can_write_eof(self):
        return True

    def set_protocol(self, protocol):
        self.protocol = protocol

    def is_closing(self):
        return self.closing

    def close(self):
        self.closing = True

    abort = close

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False
