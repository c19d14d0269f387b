"""A WebSocket of Autobahn for Python, steered by lines of JSON as
tests/support/foreign_socket.ts writes them."""

import asyncio
import json
import sys
from urllib.parse import urlsplit

from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol


def tell(**event):
    print(json.dumps(event), flush=True)


class Socket(WebSocketClientProtocol):
    def onOpen(self):
        tell(type="open")

    def onMessage(self, payload, isBinary):
        tell(type="message", text=payload.decode())

    def onPing(self, payload):
        tell(type="ping", text=payload.decode())
        super().onPing(payload)

    def onPong(self, payload):
        tell(type="pong", text=payload.decode())

    def onClose(self, wasClean, code, reason):
        if code != 1006:
            # The parameters mix both sides' words; these are the server's.
            code, reason = self.remoteCloseCode, self.remoteCloseReason
        tell(type="close", code=code, reason=reason, isClean=wasClean)


async def main():
    loop = asyncio.get_running_loop()
    socket = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        action = command["do"]
        if action == "open":
            factory = WebSocketClientFactory(command["url"])
            factory.protocol = Socket
            address = urlsplit(command["url"])
            is_tls = True if address.scheme == "wss" else None
            _, socket = await loop.create_connection(
                factory, address.hostname, address.port, ssl=is_tls
            )
        elif action == "send":
            socket.sendMessage(command["text"].encode())
        elif action == "ping":
            socket.sendPing(command["text"].encode())
        elif action == "close":
            socket.sendClose(command["code"], command["reason"])


asyncio.run(main())
