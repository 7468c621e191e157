"""Where a bench plays: a broker and a bridge on the cores that they are given, ended for sure."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from benches._kill_broker import start as start_broker
from benches._shop import SCRIPTS, free_port
from simulators import bridge_process
from simulators.bridge_process import BridgeFailedError, BridgeProcess

TENANT = "bench"
# Reading a long log from its beginning may take longer than a demo would wait.
LONGEST_START_S = 900.0
_MB = 1e6


class BenchFailedError(RuntimeError):
    """What was to be measured did not happen; the message says what did."""


class Stage:
    """`with Stage(folder) as stage`: a broker runs; then `stage.bridge`, enrol and start it.

    bridge_cores   the bridge runs on these alone; None: on any
    other_cores    as well for the broker and for this thread
    more           further options of the bridge
    """

    def __init__(
        self,
        folder: Path,
        *,
        rules: Path | None = None,
        program: Sequence[str] = ("-m", "cloud_bridge.cli"),
        bridge_cores: set[int] | None = None,
        other_cores: set[int] | None = None,
        more: Sequence[str] = (),
    ) -> None:
        self.home = folder / "bridge"
        self.broker = ""
        self._folder = folder
        self._rules = rules
        self._program = program
        self.bridge_cores = bridge_cores
        self._other_cores = other_cores
        self._more = more
        self._parts = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as parts:
            parts.enter_context(pinned(self._other_cores))
            self._folder.mkdir(parents=True, exist_ok=True)
            port = free_port()
            with _finding_benches():
                parts.callback(_end, start_broker(port, self._folder))
            self.broker = f"mqtt://127.0.0.1:{port}"
            self.bridge = self.new_bridge(self._program)
            parts.callback(self._end_bridge)
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._parts.close()

    def new_bridge(self, program: Sequence[str] = ("-m", "cloud_bridge.cli")) -> BridgeProcess:
        """Of the same home, broker and rules; not started."""
        return BridgeProcess(
            self.home,
            tenant=TENANT,
            broker=self.broker,
            rules=self._rules,
            program=program,
            more=self._more,
        )

    def start(self) -> float:
        """Start the bridge on its cores; how many seconds it took until it was ready."""
        began_s = time.monotonic()
        with pinned(self.bridge_cores), _patient(), _finding_benches():
            self.bridge.start()
        return time.monotonic() - began_s

    def _end_bridge(self) -> None:
        self.bridge.stop()


def guarded(bench: str, work: Callable[[], int]) -> int:
    """What `work` returns; 1 where it failed, and says so; 130 where it was interrupted.

    SIGTERM interrupts as Ctrl-C does: whatever was started is ended either way.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return work()
    except (BenchFailedError, BridgeFailedError) as error:
        print(f"{bench}: failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{bench}: interrupted", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the rest is ending
    raise KeyboardInterrupt


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder on a real disk, where a temporary one may be memory; gone afterwards."""
    build = SCRIPTS.parent / "build"
    build.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=build))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def pinned(cores: set[int] | None) -> Iterator[None]:
    """This thread, and whatever it starts, runs on these cores; afterwards where it did before."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _patient() -> Iterator[None]:
    before, bridge_process.READY_S = bridge_process.READY_S, LONGEST_START_S
    try:
        yield
    finally:
        bridge_process.READY_S = before


@contextlib.contextmanager
def _finding_benches() -> Iterator[None]:
    """What is started within can import `benches`, as a launcher does."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(SCRIPTS)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def divided() -> tuple[set[int], set[int]]:
    """(one core for the bridge, the others for all else); the same one where there is but one."""
    cores = sorted(os.sched_getaffinity(0))
    return {cores[-1]}, set(cores[:-1] or cores)


def cpu_s(pid: int) -> float:
    """Processor time of a process, all threads, by /proc: to a hundredth of a second."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Memory of a process that is in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB


def file_sizes_mb(home: Path) -> dict[str, float]:
    """Every file below a folder, by name."""
    found = {}
    for path in sorted(home.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # it was just removed
            if path.is_file():
                found[str(path.relative_to(home))] = path.stat().st_size / _MB
    return found


def figure(report: dict[str, Any], name: str) -> float | None:
    """The number of this name anywhere in GET /health, added up where there are several.

    Where in the report it stands is the bridge's business; None: nowhere.
    """
    found = [value for value in _all(report, name) if isinstance(value, int | float)]
    return sum(found) if found else None


def _all(report: dict[str, Any], name: str) -> Iterator[object]:
    for key, value in report.items():
        if key == name:
            yield value
        elif isinstance(value, dict) and key != "tenants":  # they are added up already
            yield from _all(value, name)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
