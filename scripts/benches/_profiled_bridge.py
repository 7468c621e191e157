"""The bridge of `scripts/bench ingest --profile`: its own command line, under pyinstrument.

    python -m benches._profiled_bridge FILE run --data ...

Every thread is sampled by its own processor time: what waits costs nothing, and the threads' shares
add up to the process's. SIGUSR1 forgets what was seen until then. When the bridge has ended, FILE
is a page with a tree for each thread, and FILE.txt the same as text.
"""

import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from pyinstrument.renderers import ConsoleRenderer, HTMLRenderer
from pyinstrument.session import Session
from pyinstrument.stack_sampler import get_stack_sampler

from cloud_bridge import cli

INTERVAL_S = 0.004

Stack = tuple[str, ...]


class Profile:
    """Processor time by call stack, of all threads that have joined."""

    def __init__(self) -> None:
        self.began_s = time.time()
        self._threads: list[defaultdict[Stack, float]] = []

    def join(self) -> None:
        """Watch the thread that calls this, from now on."""
        spent: defaultdict[Stack, float] = defaultdict(float)
        self._threads.append(spent)
        last_s = time.thread_time()

        def saw(stack: list[str], _wall_s: float, _state: object) -> None:
            nonlocal last_s
            now_s = time.thread_time()
            spent[tuple(stack)] += now_s - last_s
            last_s = now_s

        get_stack_sampler().subscribe(saw, desired_interval=INTERVAL_S, use_async_context=False)

    def forget(self) -> None:
        """Begin anew."""
        self.began_s = time.time()
        for spent in self._threads:
            spent.clear()

    def write(self, path: Path) -> None:
        """A page, and beside it a tree as text."""
        session = self._session()
        path.write_text(HTMLRenderer().render(session), encoding="utf-8")
        tree = ConsoleRenderer(color=False, unicode=True).render(session)
        path.with_name(f"{path.name}.txt").write_text(tree, encoding="utf-8")

    def _session(self) -> Session:
        # In order, so that what has the same callers stands under them once.
        records = sorted(item for spent in self._threads for item in spent.items())
        seconds = sum(spent for _, spent in records)
        return Session(
            frame_records=[(list(stack), spent) for stack, spent in records],
            start_time=self.began_s,
            duration=seconds,
            min_interval=INTERVAL_S,
            max_interval=INTERVAL_S,
            sample_count=len(records),
            start_call_stack=[""],
            target_description="the bridge, processor time of each thread",
            cpu_time=seconds,
            sys_path=sys.path,
            sys_prefixes=Session.current_sys_prefixes(),
        )


def main(argv: list[str]) -> int:
    """Run `cloud-bridge` with the rest of the words; its exit code."""
    profile = Profile()
    signal.signal(signal.SIGUSR1, lambda _number, _frame: profile.forget())
    run: Callable[[threading.Thread], None] = threading.Thread.run

    def watched(thread: threading.Thread) -> None:
        profile.join()
        run(thread)

    setattr(threading.Thread, "run", watched)  # noqa: B010  a method in place of another
    profile.join()
    code = cli.main(argv[1:])
    profile.write(Path(argv[0]))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
