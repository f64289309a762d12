"""A module that starts a thread when it is imported, which none of the product's does."""

from __future__ import annotations

import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()
