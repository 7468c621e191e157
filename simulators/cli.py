"""The command `store-simulator`: the simulated store, crowd, radio, mix, serial devices, calls."""

import argparse
import os
import sys

from edge_sdk.errors import ConfigError
from simulators.commands import crowd, day, mix, phone, radio, serial

COMMANDS = (day, crowd, radio, mix, serial, phone)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough; Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except ConfigError as error:
        print(f"store-simulator: {error}", file=sys.stderr)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="store-simulator", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="{day,crowd,radio,mix,serial,phone}")
    for command in COMMANDS:
        command.add_command(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
