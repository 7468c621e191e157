"""The far side of the latency floor: take a message, sync it to disk, answer. No product code.

python -m benches._latency_floor PORT FILE ANSWER_BYTES
"""

import os
import socket
import sys
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

UP, DOWN = "floor/up", "floor/down"


def client(name: str, port: int) -> paho.Client:
    """A plain client, with its one socket option that matters."""
    made = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5
    )
    made.on_socket_open = _no_delay
    made.connect("127.0.0.1", port)
    return made


def _no_delay(_client: paho.Client, _userdata: object, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main(port: int, path: Path, answer_bytes: int) -> None:
    """Serve until killed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    answer = os.urandom(answer_bytes)
    far = client("floor-far", port)

    def on_message(_client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        os.write(descriptor, message.payload)
        os.fdatasync(descriptor)
        far.publish(DOWN, answer, qos=1)

    far.on_message = on_message
    far.subscribe(UP, qos=1)
    far.loop_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
