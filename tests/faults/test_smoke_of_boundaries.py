"""The second half of the smoke profile: a service dies at every boundary of its traffic."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.profiles import smoke
from tests.faults.smoke import keeps_every_promise


# The driver's connection that could not be made closes itself when it is collected, with nobody to wait for that.
@pytest.mark.filterwarnings("ignore:coroutine 'Connection.close' was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(300)
async def test_a_crash_at_any_boundary_leaves_every_promise_kept(passable: Path) -> None:
    await keeps_every_promise(smoke()[1], passable)
