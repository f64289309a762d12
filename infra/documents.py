"""The generated documents under `docs/`: `python -m infra.documents` writes them, `--check` tells which are stale."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.amqp import asyncapi
from adapters.cloudevents import transient_event
from adapters.http.access import Access
from adapters.http.answers import COMMAND_RESULTS, QUERY_RESULTS
from adapters.http.app import create_app
from adapters.http.live_asyncapi import with_live_feed
from adapters.samples import LocalSamples
from handlers.live import Hub
from handlers.presence import Presence
from infra.document_pages import configuration_page, events_page
from infra.document_schemas import FOLDER, event_versions, schema_file, schemas
from infra.schema_compatibility import breaks
from infra.version import VERSION

DOCS = Path(__file__).parents[1] / "docs"


class IncompatibleSchema(Exception):
    """Raised where a schema would break those who use the published one: the message needs a new version instead."""

    def __init__(self, name: str, findings: Sequence[str]) -> None:
        super().__init__(f"{name} breaks its published schema: {'; '.join(findings)}")
        self.name, self.findings = name, findings


def openapi() -> dict[str, Any]:
    """The OpenAPI document of this release."""
    # The application needs parts to be made of; the document asks none of them.
    nobody: Any = None
    app = create_app(
        nobody,
        access=Access(),
        health=nobody,
        metrics=lambda: b"",
        hub=Hub(nobody, nobody, LocalSamples(), transient_event, ""),
        presence=Presence(nobody),
        tickets=nobody,
        allowed_hosts=(),
        version=VERSION,
    )
    return app.openapi()


def documents() -> dict[str, str]:
    """Every generated file by its path below `docs/`; the same code gives the same text."""
    made = {
        "openapi.json": _text(openapi()),
        "asyncapi.json": _text(
            with_live_feed(asyncapi.document(results={**COMMAND_RESULTS, **QUERY_RESULTS}, versions=event_versions()))
        ),
        "events.md": events_page(),
        "configuration.md": configuration_page(),
    }
    return made | {f"{FOLDER}/{schema_file(each)}": _text(each.schema) for each in schemas()}


def stale(folder: Path = DOCS) -> list[str]:
    """Names of the files that are missing or not what the code would write."""
    return sorted(name for name, text in documents().items() if _read(folder / name) != text)


def write(folder: Path = DOCS) -> list[str]:
    """Brings every file up to date; returns the names of those that changed.

    Raises:
        IncompatibleSchema: before anything is written.
    """
    for each in schemas():
        published = _read(folder / FOLDER / schema_file(each))
        if published is not None and (findings := breaks(json.loads(published), each.schema, each.direction)):
            raise IncompatibleSchema(schema_file(each), findings)
    changed = stale(folder)
    made = documents()
    for name in changed:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(made[name], encoding="utf-8")
    return changed


def main(arguments: Sequence[str]) -> int:
    """Returns 1 where a check found stale files, or a schema is not compatible."""
    try:
        names = stale() if "--check" in arguments else write()
    except IncompatibleSchema as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"docs/{name}\n" for name in names))
    return 1 if names and "--check" in arguments else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
