"""Finds, in the files of the repository, what is true only on the machine that wrote them."""

import re
import shutil
import subprocess
from pathlib import Path

# No pattern may match its own source, or this file would be its first finding.
MACHINE_FOLDER = r"(?:^|[^A-Za-z0-9_.])/(?:work|farm)/[A-Za-z.]"
REGISTRIES = (
    r"pypi\.org",
    r"files\.pythonhosted\.org",
    r"registry\.npmjs\.org",
    r"registry\.yarnpkg\.com",
    r"(?:deb|security|snapshot)\.debian\.org",
    r"(?:archive|security)\.ubuntu\.com",
    r"proxy\.golang\.org",
    r"(?:static|index)\.crates\.io",
)
# A mirror can have any name, so the settings that lead to one are looked for as well.
MIRROR_SETTING = r"(?i:index[-_]url|find[-_]links|registry|resolved)[\"']?\s*[:= ]\s*[\"']?https?:"
FINDINGS = {
    "a folder of the machine it was made on": re.compile(MACHINE_FOLDER),
    "the address of a package registry": re.compile("|".join((*REGISTRIES, MIRROR_SETTING))),
}


def complaints(root: Path) -> list[str]:
    """One line per finding in the files that git tracks or would add: path:line, and what it is."""
    if not (root / ".git").exists() or shutil.which("git") is None:
        return ["not a git checkout, or no git: cannot tell which files belong to the repository"]
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=root, check=True, stdout=subprocess.PIPE).stdout
    found: list[str] = []
    for name in sorted(set(names.decode().split("\0")) - {""}):
        path = root / name
        if path.is_file() and not path.is_symlink():
            found += findings(name, path.read_bytes())
    return found


def findings(name: str, content: bytes) -> list[str]:
    """What one file's content holds; a binary file is not looked into."""
    if b"\0" in content:
        return []
    return [
        f"{name}:{number}: names {what}"
        for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1)
        for what, pattern in FINDINGS.items()
        if pattern.search(line)
    ]
