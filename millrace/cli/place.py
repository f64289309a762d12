"""Where the service will be and how it logs, by all that can say so: options, environment, file and defaults."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from millrace.cli.errors import CliError
from millrace.cli.logs import FORMAT_VARIABLE, LEVEL_VARIABLE
from millrace.cli.service import service_command, service_environment

SECONDS = 60.0


class Place(BaseModel):
    """What the service's settings come to; a relative `data` counts from the current folder."""

    host: str
    port: int
    data: Path
    log_level: str = "info"
    log_format: str = "auto"

    def logs(self) -> dict[str, str]:
        """The variables that have a worker log like the service."""
        return {LEVEL_VARIABLE: self.log_level, FORMAT_VARIABLE: self.log_format}


def service_place(root: Path, given: Mapping[str, object], environment: Mapping[str, str]) -> Place:
    """Asks the service's own code, which alone knows its settings.

    Args:
        root: the folder that holds the service's packages.
        given: `host`, `port` and `data` as far as options say them; they go before `environment` and file.

    Raises:
        CliError: a setting is wrong.
    """
    done = subprocess.run(
        service_command([json.dumps(given)], "infra.place"),
        env=service_environment(root, environment),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        raise CliError(done.stderr.strip())
    return Place.model_validate_json(done.stdout)
