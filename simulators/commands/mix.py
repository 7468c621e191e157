"""`store-simulator mix`: the shares of all touchpoint types."""

import argparse
import json
from typing import TYPE_CHECKING

from simulators import mix
from simulators.commands.kinds import RAW

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_WHAT = """
The shares of all touchpoint types, as JSON: what the benches send. It is kept in a file, and a test
tells when that is out of date:
  store-simulator mix > tests/data/mix.json
"""


def add_command(commands: "Commands") -> None:
    """Put `mix` among the commands."""
    one = commands.add_parser(
        "mix", help="draw up the mix of touchpoints", description=_WHAT, formatter_class=RAW
    )
    one.set_defaults(run=_run)


def _run(_arguments: argparse.Namespace) -> int:
    print(json.dumps(mix.draw_up(), indent=2))
    return 0
