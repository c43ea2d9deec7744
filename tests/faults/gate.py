"""A relay on the loopback interface that can be shut: "the service is unreachable", as its clients see it."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from demo.standalone import free_port


class Gate:
    """
    Relays TCP connections to a service, until it is shut.

    :param target: the port of the service behind it.
    :param host: where that is.
    :param at: the address at which the gate stands.
    :ivar relayed: bytes that have passed, in both directions.
    """

    def __init__(self, target: int, *, host: str = "127.0.0.1", at: str = "127.0.0.1") -> None:
        self.target = target
        self.host = host
        self.at = at
        self.relayed = 0
        self.port = free_port()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._passes, self._answers = asyncio.Event(), asyncio.Event()
        self._passes.set()
        self._answers.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gate", daemon=True)
        self._thread.start()
        self.open()

    def open(self) -> None:
        """Accept connections."""
        if self._server is None:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def shut(self) -> None:
        """Refuse new connections and reset the open ones."""
        asyncio.run_coroutine_threadsafe(self._refuse(), self._loop).result(10)

    def fall_silent(self) -> None:
        """From now on nothing passes: connections are kept, new ones are taken, and nobody gets an answer."""
        self._loop.call_soon_threadsafe(self._passes.clear)

    def lose_answers(self) -> None:
        """From now on questions pass, and answers do not: shut the gate, and they are lost."""
        self._loop.call_soon_threadsafe(self._answers.clear)

    def speak(self) -> None:
        """Let pass what was held back, and what comes."""
        for direction in (self._passes, self._answers):
            self._loop.call_soon_threadsafe(direction.set)

    def close(self) -> None:
        """Shut it for good."""
        self.speak()
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._relay, self.at, self.port)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self.target)
        except OSError:
            writer.close()
            return
        both = {writer, far_writer}
        self._writers |= both
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer, self._answers))
        self._writers -= both

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: asyncio.Event | None = None
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._passes.wait()
                if passes is not None:
                    await passes.wait()
                self.relayed += len(data)
                writer.write(data)
                await writer.drain()
        writer.close()
