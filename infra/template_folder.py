"""Reads the folder of templates: `<name>.title.txt`, `<name>.txt`, `<name>.html`, and the same with a locale.

`welcome.title.txt` and `welcome.txt` are for everybody, `welcome.de.txt` for those who read German. What a language
leaves out comes from what is for everybody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from handlers.template import Folder, FolderTemplate
from infra.settings_errors import SettingsError, SettingsProblem
from millrace.contracts.rendering import TemplateProblem, Text, check
from millrace.contracts.wire import excerpt

FILE = re.compile(
    r"^(?P<name>[A-Za-z0-9_-]+)(?:\.(?P<locale>[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*))?(?P<part>\.title\.txt|\.txt|\.html)$"
)
PARTS = {".title.txt": "title", ".txt": "message", ".html": "html"}


def require_folder(key: str, folder: Path) -> Path:
    """The folder, where it is there.

    Raises:
        SettingsError: it is not, although the setting `key` names it.
    """
    if not folder.is_dir():
        raise SettingsError(
            SettingsProblem(key, f"there is no folder {excerpt(str(folder), 256)}; make it, or correct it")
        )
    return folder


def read_folders(folders: Iterable[Path]) -> Folder:
    """The templates of the folders that exist; an earlier folder goes before a later one.

    Raises:
        SettingsError: a template cannot be read, or has no title.
    """
    found: dict[str, FolderTemplate] = {}
    for folder in folders:
        for name, template in _read(folder).items():
            found.setdefault(name, template)
    return found


def _read(folder: Path) -> dict[str, FolderTemplate]:
    files: dict[str, dict[str, dict[str, Any]]] = {}
    digests: dict[str, Any] = {}
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        match = FILE.match(path.name)
        if match is None:
            continue
        text, name = path.read_text(encoding="utf-8"), match["name"]
        files.setdefault(name, {}).setdefault(match["locale"] or "", {})[PARTS[match["part"]]] = text
        digests.setdefault(name, hashlib.sha256()).update(f"{path.name}\n{text}\n".encode())
    return {
        name: FolderTemplate(name, digests[name].hexdigest()[:12], _complete(folder, name, locales))
        for name, locales in files.items()
    }


def _complete(folder: Path, name: str, locales: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    complete = {}
    for locale, given in locales.items():
        text = {"title": None, "message": "", "html": None} | locales.get("", {}) | given
        if text["title"] is None:
            raise _problem(folder, name, f"{name}.title.txt is missing")
        try:
            check(Text(**text))
        except TemplateProblem as problem:
            raise _problem(folder, name, str(problem)) from None
        complete[locale] = text
    return complete


def _problem(folder: Path, name: str, detail: str) -> SettingsError:
    return SettingsError(SettingsProblem("modules.notifications.templates.dir", f"{folder / name}: {detail}"))
