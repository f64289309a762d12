"""What two processes hear of each other's samples, whatever carries them."""

from __future__ import annotations

from adapters.contracts.samples import Ears, at
from domain.live import Samples
from tests.support.running import until


async def heard_once_by_all(first: Samples, here: Ears, second: Samples, there: Ears) -> None:
    """Has each emit a sample, and asserts that both hear both, once and in order."""
    first.emit(at(1, "one"))
    await until(lambda: there.heard == [at(1, "one")] and here.heard == [at(1, "one")])
    second.emit(at(2, "two"))
    # What is carried in order has brought back the first one by now, had it come back at all.
    await until(lambda: at(2, "two") in here.heard and at(2, "two") in there.heard)
    assert here.heard == [at(1, "one"), at(2, "two")]
    assert there.heard == [at(1, "one"), at(2, "two")]
