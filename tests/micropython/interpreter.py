"""Real MicroPython for the tests: its WebAssembly build, run by node."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build/micropython/node_modules/@micropython/micropython-webassembly-pyscript"
RUNNER = Path(__file__).parent / "run.mjs"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one check; `error` is MicroPython's traceback."""

    name: str
    ok: bool
    cases: int
    error: str


def missing() -> str:
    """What keeps MicroPython from running here, or nothing."""
    if shutil.which("node") is None:
        return "node is not installed: scripts/test says how to get it"
    if not (BUILD / "micropython.mjs").is_file():
        return "MicroPython is not in build/micropython: scripts/test installs it"
    return ""


def outcomes(module: str, files: Iterable[str], *, moved: dict[str, str]) -> list[Outcome]:
    """Run a module's CHECKS under MicroPython, which sees these files of the repository alone.

    `moved`: files that MicroPython finds under another path than the repository's.
    """
    places = {path: path for path in files} | moved
    texts = {inside: (ROOT / path).read_text("utf-8") for path, inside in places.items()}
    run = subprocess.run(
        ["node", str(RUNNER), str(BUILD)],
        input=json.dumps({"module": module, "files": texts}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    if run.returncode:
        raise RuntimeError(f"MicroPython did not run the checks:\n{run.stderr[-4000:]}")
    return [Outcome(**json.loads(line)) for line in run.stdout.splitlines()]
