"""Where a service with these settings would listen and keep its data, for `millrace up`, which waits for it there."""

from __future__ import annotations

import json
import sys

from infra.settings import load_settings
from infra.settings_errors import SettingsError


def main() -> None:
    """Writes `host`, `port` and `data` as JSON; the argument has, as JSON too, what the command line gave of them."""
    try:
        settings = load_settings(**json.loads(sys.argv[1]))
    except SettingsError as error:
        sys.exit(" ".join(str(error).split()))
    sys.stdout.write(json.dumps({"host": settings.host, "port": settings.port, "data": str(settings.data)}) + "\n")


if __name__ == "__main__":
    main()
