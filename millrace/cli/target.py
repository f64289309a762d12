"""Loads an application named on the command line as `module:attribute`."""

from __future__ import annotations

import importlib
import sys
import sysconfig
import traceback
from pathlib import Path

from millrace import Millrace
from millrace.cli.errors import ApplicationBroken, TargetNotFound


def check_target(target: str) -> tuple[str, str]:
    """The two halves of `module:attribute`.

    Raises:
        TargetNotFound: the text is not of that form.
    """
    module_name, separator, attribute = target.partition(":")
    if not separator or not module_name or not attribute:
        raise TargetNotFound(target, "write it as module:attribute, for example tasks:app")
    return module_name, attribute


def load_app(target: str, folder: Path) -> Millrace:
    """Imports `module:attribute` as a program in `folder` would.

    Raises:
        TargetNotFound: the text is not of that form, or the module or attribute is not there, or is no `Millrace`.
        ApplicationBroken: the application's own module raises something while it is imported.
    """
    module_name, attribute = check_target(target)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not _is_part_of(error.name, module_name):
            raise TargetNotFound(target, f"{module_name} imports {error.name!r}, which is not installed") from error
        raise TargetNotFound(target, f"there is no module {error.name!r} in {folder} or on the path") from error
    except (Exception, SystemExit) as error:
        raise ApplicationBroken(target, _described(error), _place(error)) from error
    found: object = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise TargetNotFound(target, f"module {module_name!r} ({module.__file__}) has no attribute {attribute!r}")
        found = getattr(found, name)
    if not isinstance(found, Millrace):
        raise TargetNotFound(target, f"{attribute!r} is a {type(found).__name__}, not a Millrace application")
    return found


def _described(error: BaseException) -> str:
    said = (error.msg if isinstance(error, SyntaxError) else str(error)).partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _place(error: BaseException) -> str:
    """Where it was raised: the innermost line that no library has, or where all are libraries' the innermost of all."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    innermost = (own or frames)[-1]
    return f"{innermost.filename}, line {innermost.lineno}"


def _is_own(file: str) -> bool:
    paths = sysconfig.get_paths()
    libraries = (paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], "<", __file__)
    return not file.startswith(libraries)


def _is_part_of(missing: str | None, module_name: str) -> bool:
    return missing is not None and (module_name == missing or module_name.startswith(f"{missing}."))
