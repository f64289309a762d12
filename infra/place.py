"""What `millrace up` has to know of the settings: where the service will be, and how its worker is to log."""

from __future__ import annotations

import json
import sys

from infra.settings import load_settings
from infra.settings_errors import SettingsError


def main() -> None:
    """Writes `host`, `port`, `data`, `log_level` and `log_format` as JSON.

    The argument has as JSON what the command line gave of the first three.
    """
    try:
        settings = load_settings(**json.loads(sys.argv[1]))
    except SettingsError as error:
        sys.exit(" ".join(str(error).split()))
    place = {"host": settings.host, "port": settings.port, "data": str(settings.data)}
    logs = {"log_level": settings.logging.level, "log_format": settings.logging.format}
    sys.stdout.write(json.dumps({**place, **logs}) + "\n")


if __name__ == "__main__":
    main()
