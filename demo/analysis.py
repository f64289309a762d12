"""What one Python source file holds: sizes, functions, classes, docstrings and imports."""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator
from typing import TypedDict

# Python 3.11 counts the depth of a tree under construction for all threads together, and fails when two build one
# at the same moment (python/cpython#106905).
PARSING = threading.Lock()

MOST_IMPORTS = 60


class SourceFacts(TypedDict):
    """The result of one file's job, as JSON.

    `documented` counts modules, classes and functions with a docstring, out of `documentable`; `imports` are the
    top-level modules that the file imports by absolute name, sorted, 60 at most.
    """

    path: str
    bytes: int
    lines: int
    functions: int
    classes: int
    documented: int
    documentable: int
    imports: list[str]


def analyze(path: str, source: bytes) -> SourceFacts:
    """Reads one file's source as Python does.

    Raises:
        SyntaxError: this Python cannot parse it, or cannot decode its text.
        ValueError: it contains null bytes.
    """
    with PARSING:
        tree = ast.parse(source, filename=path)
    functions = classes = documented = 0
    documentable = 1
    imports: set[str] = set()
    documented += ast.get_docstring(tree, clean=False) is not None
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                functions += 1
            case ast.ClassDef():
                classes += 1
            case ast.Import() | ast.ImportFrom():
                imports.update(imported_modules(node))
                continue
            case _:
                continue
        documentable += 1
        documented += ast.get_docstring(node, clean=False) is not None
    return SourceFacts(
        path=path,
        bytes=len(source),
        lines=source.count(b"\n") + (not source.endswith(b"\n") and bool(source)),
        functions=functions,
        classes=classes,
        documented=documented,
        documentable=documentable,
        imports=sorted(imports)[:MOST_IMPORTS],
    )


def imported_modules(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The top-level modules that an import statement names; relative imports name none."""
    match node:
        case ast.Import(names=names):
            yield from (name.name.partition(".")[0] for name in names)
        case ast.ImportFrom(module=str(module), level=0):
            yield module.partition(".")[0]
