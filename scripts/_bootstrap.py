"""Puts a script of this folder inside the project's own environment, made on first use."""

import sys

if sys.version_info < (3, 11):  # here, before anything that an older Python could not read
    sys.exit(
        "Edge SDK needs Python 3.11 or newer; this is Python %d.%d (%s).\n"
        "Install a newer one and name it, for example: python3.13 %s"
        % (*sys.version_info[:2], sys.executable, sys.argv[0])
    )

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "edge-sdk.stamp"  # written last: without it the environment is unfinished


def enter() -> None:
    """Return inside the project's environment, or run this very command again there."""
    was_ready = ready()
    if not was_ready:
        try:
            make_ready()
        except KeyboardInterrupt:
            say("interrupted; the next run starts the set-up again")
            sys.exit(130)
    if not was_ready or Path(sys.prefix) != VENV:
        os.environ.pop("PYTHONHOME", None)  # with it no Python believes that it is in a venv
        replace([str(PYTHON), *sys.orig_argv[1:]])


def ready() -> bool:
    """Whether the environment is whole, belongs to this folder and is what the lock asks for."""
    try:
        return PYTHON.exists() and STAMP.read_text() == wanted_stamp()
    except OSError:
        return False


def wanted_stamp() -> str:
    """The checkout's folder (a copied environment would import the original), then what it asks."""
    asked = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        asked.update((ROOT / name).read_bytes())
    return f"{ROOT}\n{asked.hexdigest()}\n"


def make_ready() -> None:
    """Make the environment, or bring one that was whole up to date."""
    with exclusive("environment") as lock:
        if ready():
            return  # another script made it while this one waited
        started = time.monotonic()
        stamp = wanted_stamp()
        whole = PYTHON.exists() and STAMP.exists() and STAMP.read_text().startswith(f"{ROOT}\n")
        STAMP.unlink(missing_ok=True)
        if whole:
            say("bringing the environment up to date ...")
        else:
            say("setting up the environment (once, about a minute) ...")
            make_empty(lock)
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run_step([*pip, "--no-input", "--require-hashes", "-r", "requirements.lock"], lock)
        run_step([*pip, "--no-input", "--no-deps", "--no-build-isolation", "-e", "."], lock)
        STAMP.write_text(stamp)
        say(f"the environment is ready, after {time.monotonic() - started:.0f} s")


def make_empty(lock: int) -> None:
    """Make a bare environment in place of whatever is there."""
    from importlib.util import find_spec

    if find_spec("venv") is None or find_spec("ensurepip") is None:
        sys.exit(
            f"This Python ({sys.executable}) cannot make environments.\n"
            "On Debian and Ubuntu: sudo apt-get install python3-venv; then run this again."
        )
    # Not sys.executable, which may lie in the very environment that is being replaced.
    base = getattr(sys, "_base_executable", sys.executable)
    run_step([base, "-m", "venv", "--clear", str(VENV)], lock)


def run_step(command: list[str], lock: int) -> None:
    """Run one step into build/environment.log; where it fails, show its last lines and end."""
    import subprocess

    log = BUILD / "environment.log"
    with log.open("w") as out:
        # The step inherits the lock: when only this script is killed, the next one waits for it.
        inherited = () if os.name == "nt" else (lock,)
        step = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, pass_fds=inherited
        )
    if step.returncode:
        last_lines = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        sys.exit(
            f"{last_lines}\n\nSetting up failed at: {' '.join(command)}\n"
            f"The whole output is in {log}. Packages come from pip's index: check the network, or\n"
            "tell pip of your mirror (PIP_INDEX_URL, PIP_FIND_LINKS, pip.conf), and run this again."
        )


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[int]:
    """Hold build/NAME.lock, so that scripts started together take turns; yields its descriptor."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as lock:
        if sys.platform != "win32":
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for another script, which holds build/{name}.lock ...")
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def replace(command: list[str]) -> None:
    """Become another program, whose exit code is then this one's; never returns."""
    if os.name == "nt":  # execv there returns to the shell before the program ends
        import subprocess

        sys.exit(subprocess.run(command).returncode)
    os.execv(command[0], command)


def say(words: str) -> None:
    """Tell the person at the terminal, out of the way of a script's real output."""
    print(f"edge-sdk: {words}", file=sys.stderr, flush=True)
