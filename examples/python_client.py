"""Sends one message, then prints as many events as the second argument says.

    python3 examples/python_client.py hello 1

It needs a server on port 7982: `ebsockets`, or `deno task relay` in a clone.
"""

import json
import signal
import socket
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C ends it without a traceback.


def receive(connection):
    """Yields what comes, line by line. recv() alone gives pieces that end anywhere."""
    with connection.makefile("rb") as lines:
        for line in lines:
            # Empty lines are keep-alives, and one without its end has been cut off.
            if line.endswith(b"\n") and not line.isspace():
                yield json.loads(line)


if len(sys.argv) != 3 or not sys.argv[2].isdigit():
    sys.exit("usage: python_client.py MESSAGE COUNT")
content, count = sys.argv[1], int(sys.argv[2])

with socket.create_connection(("127.0.0.1", 7982)) as connection:
    event = {"event": "message", "__dict__": {"content": content}}
    # send() may take only a part, sendall() takes all.
    connection.sendall(json.dumps(event).encode() + b"\n")

    for message in receive(connection):
        if message.get("control") == "close":
            print("closed:", message["reason"])
            break
        if "event" in message:
            print(f"event: {message['event']!r} {message.get('__dict__', {})}")
            count -= 1
            if count == 0:
                break
