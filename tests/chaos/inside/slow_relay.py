"""Passes TCP connections on, and what comes back only after a while: ``slow_relay.py HOST PORT TO SECONDS``.

Listens at HOST:PORT and connects to TO at the same port.
"""

import asyncio
import sys


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    loop = asyncio.get_running_loop()
    while data := await reader.read(65536):
        # Each piece waits by itself, so that the stream is late and not slower.
        loop.call_later(delay, writer.write, data)
    loop.call_later(delay, writer.close)


async def _serve(host: str, port: int, to: str, delay: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(to, port)
        await asyncio.gather(_pass_on(reader, far_writer, 0.0), _pass_on(far_reader, writer, delay))

    server = await asyncio.start_server(connected, host, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
