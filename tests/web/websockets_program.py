"""A WebSocket of the Python package "websockets", steered by lines of JSON as
tests/support/foreign_socket.ts writes them."""

import asyncio
import json
import sys

import websockets


def tell(**event):
    print(json.dumps(event), flush=True)


async def receive(socket):
    tell(type="open")
    try:
        async for text in socket:
            tell(type="message", text=text)
    except websockets.ConnectionClosed:
        pass
    is_clean = socket.close_code != 1006
    tell(type="close", code=socket.close_code, reason=socket.close_reason, isClean=is_clean)


async def ping(socket, text):
    await (await socket.ping(text))
    tell(type="pong", text=text)


async def main():
    loop = asyncio.get_running_loop()
    socket = None
    tasks = set()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        action = command["do"]
        if action == "open":
            socket = await websockets.connect(command["url"], ping_interval=None)
            tasks.add(asyncio.create_task(receive(socket)))
        elif action == "send":
            await socket.send(command["text"])
        elif action == "ping":
            tasks.add(asyncio.create_task(ping(socket, command["text"])))
        elif action == "close":
            await socket.close(command["code"], command["reason"])


asyncio.run(main())
