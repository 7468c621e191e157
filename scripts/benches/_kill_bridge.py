"""The bridge of the kill campaign: its own command line, with a witness to every seal.

python _kill_bridge.py AUDIT_FILE run --data ...
"""

import sys
from pathlib import Path

from benches._audit import AuditedSuite
from cloud_bridge import cli, factory


def main(argv: list[str]) -> int:
    """Run `cloud-bridge` with the audited suite in place of the plain one."""
    audit = Path(argv[0])
    setattr(factory, "AesCcm", lambda: AuditedSuite(audit))  # noqa: B010  a class for a function
    return cli.main(argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
