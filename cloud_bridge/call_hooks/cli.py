"""The command `cloud-bridge hooks`: is the file right, and what is entered at the providers."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_bridge.call_hooks.hooks_file import FILE_NAME, read_hooks
from cloud_bridge.config import home_of, tenants_in
from edge_sdk.errors import ConfigError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_CHECK = """
Reads hooks.toml in the tenant's folder as the bridge does, with the secrets that it names, and
prints the URL of each hook, to enter at its provider; never a secret. Run it with the environment
of the bridge. It ends with 1 if the file cannot be taken.
"""


def add_command(
    commands: "Subparsers", add_whose: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Put `hooks` among the commands."""
    hooks = commands.add_parser("hooks", help="webhooks of telephony providers: check")
    doings = hooks.add_subparsers(dest="doing", required=True, metavar="WHAT")
    check = doings.add_parser(
        "check",
        help="check hooks.toml; print the URLs to enter at the providers",
        description=_CHECK,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_whose(check)


def run(args: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code. Raises ConfigError."""
    home = home_of(args.data, args.tenant)
    hooks = read_hooks(home / FILE_NAME).hooks
    names = {hook.name for hook in hooks}
    for tenant in tenants_in(args.data):
        if args.data / tenant != home:
            _compare(args.data / tenant, tenant, names)
    print(f"{'name':20}  {'provider':10}  {'site':16}  {'routes':>6}  url")
    for hook in hooks:
        what = f"{hook.name:20}  {hook.provider.name:10}  {hook.site:16}  {len(hook.routes):>6}"
        print(f"{what}  {hook.url}")
        for doubt in hook.doubts:
            print(f"doubt: {hook.name}: {doubt}", file=sys.stderr)
    return 0


def _compare(home: Path, tenant: str, names: set[str]) -> None:
    """Raise ConfigError where another tenant has a hook of one of these names."""
    try:
        others = {hook.name for hook in read_hooks(home / FILE_NAME).hooks}
    except ConfigError:
        return  # that is theirs to check
    for name in sorted(names & others):
        raise ConfigError(f"hook {name!r} is one of tenant {tenant} as well; names are a bridge's")
