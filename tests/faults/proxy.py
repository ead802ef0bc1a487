# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy on loopback that understands PostgreSQL's framing, numbers every question, and can act around each of them.

A question is what a client sends and waits for: opening a connection, or one simple query. Its answer ends with ReadyForQuery
(PostgreSQL, "Message Formats"). There is no encryption on the way, and no client here uses the extended protocol.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import Enum

SILENCE_SECONDS = 60
OPENING = "open a connection"
_HEADER = struct.Struct("!cI")
_LENGTH = struct.Struct("!I")
_AUTHENTICATION_OK = 0
# What the engine puts before its own records, so that the role of a file does not write them.
_OWN_ROLE = re.compile(r"^select pg_catalog\.set_config\('role'[^;]*; ")
_COMMENTS = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)


class Phase(Enum):
    """Where in a question a fault falls."""

    BEFORE = "before"
    INSIDE = "inside"
    UNANSWERED = "unanswered"


class Then(Enum):
    """What the proxy does with the connection when a fault has been made."""

    CUT = "cut"
    LET_THE_SERVER_SPEAK = "let the server speak"


@dataclass(frozen=True)
class Question:
    """One question of a run, as the proxy saw it; ``number`` counts from 1 over all connections of the run."""

    number: int
    sql: str

    @property
    def words(self) -> str:
        """The first words, in one line, without comments."""
        return _OWN_ROLE.sub("", " ".join(_COMMENTS.sub(" ", self.sql).split()))[:60]


@dataclass(frozen=True)
class Moment:
    """When something can be done: ``pid`` is the server process; ``in_transaction`` says whether any session of the run is in one."""

    question: Question
    phase: Phase
    pid: int | None
    in_transaction: bool


Interfere = Callable[[Moment], Then | None]
"""Is asked at each question: before it is passed on, when the server has it, and when the answer is complete but held back.

It may make a fault; the connection ends there unless it returns None.
"""


class Proxy:
    """Listens on loopback for one run at a time."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._interfere: Interfere = _leave_alone
        self._number = 0
        self._in_transaction: set[_Conversation] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def next_run(self, interfere: Interfere) -> None:
        """Count from 1 again, and ask this from now on."""
        with self._lock:
            self._number, self._interfere = 0, interfere

    def close(self) -> None:
        """Take no more connections."""
        # Closing alone would leave accept() waiting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            client.settimeout(SILENCE_SECONDS)
            conversation = _Conversation(client, self._server, self._next, self._interfere, self._in_transaction)
            with closing(conversation):
                try:
                    conversation.hold()
                except OSError:
                    # One of the two is gone: so is the connection.
                    return

    def _next(self, sql: str) -> Question:
        with self._lock:
            self._number += 1
            return Question(self._number, sql)


def _leave_alone(_moment: Moment) -> Then | None:
    return None


class _Conversation:
    """One connection, from its opening to its end."""

    def __init__(
        self,
        client: socket.socket,
        address: tuple[str, int],
        count: Callable[[str], Question],
        interfere: Interfere,
        in_transaction: set[_Conversation],
    ) -> None:
        self._client = client
        # Connected to only when the first question is passed on: a server that is stopped waits for those who have not
        # said yet who they are.
        self._server = socket.socket()
        self._server.settimeout(SILENCE_SECONDS)
        self._address = address
        self._connected = False
        self._count = count
        self._interfere = interfere
        self._pid: int | None = None
        # All those of the run, this one among them while it is in a transaction.
        self._in_transaction = in_transaction

    def hold(self) -> None:
        """Pass questions and answers until one of the two ends it."""
        length = _LENGTH.unpack(_receive(self._client, _LENGTH.size))[0]
        startup = _LENGTH.pack(length) + _receive(self._client, length - _LENGTH.size)
        if not self._pass_on(OPENING, startup):
            return
        while True:
            kind, message = _read_message(self._client)
            if kind == b"X":
                self._server.sendall(message)
                return
            if kind == b"d":
                # Rows for a COPY: part of the question before them, and not answered.
                self._server.sendall(message)
                continue
            if kind in (b"c", b"f"):
                self._server.sendall(message)
                self._client.sendall(self._answer())
                continue
            if kind != b"Q":
                raise AssertionError(f"the proxy does not know what to do with a message {kind!r}")
            if not self._pass_on(message[_HEADER.size : -1].decode(), message):
                return

    def close(self) -> None:
        """End it for the server as well."""
        self._in_transaction.discard(self)
        self._server.close()

    def _pass_on(self, sql: str, message: bytes) -> bool:
        question = self._count(sql)
        if self._faulted(question, Phase.BEFORE):
            return False
        if not self._connected:
            self._server.connect(self._address)
            self._connected = True
        self._server.sendall(message)
        if self._faulted(question, Phase.INSIDE):
            return False
        answer = self._answer()
        if self._faulted(question, Phase.UNANSWERED):
            return False
        self._client.sendall(answer)
        return True

    def _faulted(self, question: Question, phase: Phase) -> bool:
        then = self._interfere(Moment(question, phase, self._pid, bool(self._in_transaction)))
        if then is Then.LET_THE_SERVER_SPEAK and self._connected:
            while spoken := self._server.recv(65536):
                self._client.sendall(spoken)
        elif then is Then.CUT:
            # Both ends see a reset, as when a router forgets the connection.
            for end in (self._client, self._server):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return then is not None

    def _answer(self) -> bytes:
        """The server's messages up to ReadyForQuery; what logging in needs is passed to and fro."""
        kept = b""
        while True:
            kind, message = _read_message(self._server)
            kept += message
            if kind == b"Z":
                if message[-1:] == b"I":
                    self._in_transaction.discard(self)
                else:
                    self._in_transaction.add(self)
                return kept
            if kind == b"G":
                # It waits for the rows of a COPY.
                return kept
            if kind == b"K":
                self._pid = _LENGTH.unpack(message[_HEADER.size : _HEADER.size + _LENGTH.size])[0]
            if kind == b"R" and _asks_for_a_reply(message):
                self._client.sendall(kept)
                kept = b""
                self._server.sendall(_read_message(self._client)[1])
            if kind == b"E" and self._pid is None:
                # Refused: the server ends the connection without ReadyForQuery.
                return kept


def _asks_for_a_reply(message: bytes) -> bool:
    code = _LENGTH.unpack(message[_HEADER.size : _HEADER.size + _LENGTH.size])[0]
    # 12 is the last word of SCRAM, which is not answered.
    return code not in (_AUTHENTICATION_OK, 12)


def _read_message(end: socket.socket) -> tuple[bytes, bytes]:
    header = _receive(end, _HEADER.size)
    kind, length = _HEADER.unpack(header)
    return kind, header + _receive(end, length - _LENGTH.size)


def _receive(end: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = end.recv(size - len(received))
        if not part:
            raise ConnectionResetError
        received += part
    return received
