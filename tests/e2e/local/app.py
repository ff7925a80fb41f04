"""A service for the tests of the local platform: quick to start, and as bad as asked.

    python app.py PORT      FAULT=exits|silent|unready|stubborn|forks  (environment)

GET / says VERSION, GET /env NAME's value (it proves that a secret arrived), GET /slow?2 answers after 2 s,
POST / echoes. One write an answer.
"""

import asyncio
import os
import signal
import sys
import time

FAULT = os.environ.get("FAULT", "")
VERSION = os.environ.get("VERSION", "?")


async def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
    if path == "/healthz":
        return (503 if FAULT == "unready" else 200), b"ok"
    if path.startswith("/slow?"):
        await asyncio.sleep(float(path.partition("?")[2]))
    if path.startswith("/env?"):
        return 200, os.environ.get(path.partition("?")[2], "").encode()
    if path == "/crash":
        os._exit(3)
    if path == "/metrics":
        return 404, b""
    return 200, body if method == "POST" else VERSION.encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ")
            size = next((int(x.split(":")[1]) for x in lines if x.lower().startswith("content-length:")), 0)
            status, body = await answer(method, path, await reader.readexactly(size))
            head = f"HTTP/1.1 {status} OK\r\nx-shop-version: {VERSION}\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main() -> None:
    if FAULT == "exits":
        print("the configuration makes no sense; password is", os.environ.get("PASSWORD"), flush=True)
        sys.exit(3)
    if FAULT == "forks" and os.fork() == 0:
        os.setpgid(0, 0)
        time.sleep(3600)
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, (lambda: None) if FAULT == "stubborn" else stopped.set)
    if FAULT != "silent":
        await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    print("listening", flush=True)
    await stopped.wait()


asyncio.run(main())
