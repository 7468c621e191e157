"""A broker as a process of its own, which forgets everything when it is killed.

mosquitto with persistence off, or amqtt where mosquitto is not installed:

    python -m benches._kill_broker PORT
"""

import asyncio
import logging
import shutil
import subprocess
import sys
from pathlib import Path

from cloud_bridge.broker import Embedded

_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 256
max_queued_messages 100000
set_tcp_nodelay true
"""


def command(port: int, folder: Path) -> list[str]:
    """How to start it."""
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if mosquitto is None:
        return [sys.executable, "-m", "benches._kill_broker", str(port)]
    config = folder / "mosquitto.conf"
    config.write_text(_CONFIG.format(port=port))
    folder.chmod(0o755)  # run as root, mosquitto becomes another user
    return [mosquitto, "-c", str(config)]


def start(port: int, folder: Path) -> "subprocess.Popen[bytes]":
    """Start it, quietly."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command(port, folder), stdin=quiet, stdout=quiet, stderr=quiet)


async def _serve(port: int) -> None:
    async with Embedded(port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(_serve(int(sys.argv[1])))
