"""The first half of the smoke profile: every fault of every server and of the network in front of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.profiles import smoke
from tests.faults.smoke import keeps_every_promise


# The driver's connection that could not be made closes itself when it is collected, with nobody to wait for that.
@pytest.mark.filterwarnings("ignore:coroutine 'Connection.close' was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(300)
async def test_every_kind_of_fault_leaves_every_promise_kept(passable: Path) -> None:
    await keeps_every_promise(smoke()[0], passable)
