"""All known-bad builds by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.faults.twins import broker_truth, doors, pieces
from tests.faults.twins.twin import Twin

BUILDS: Mapping[str, Callable[[], Twin]] = {
    cls.__name__: cls
    for cls in (
        Twin, doors.ForgetsKeys, doors.AnswersBeforeTheCommit, doors.HasNoFence, doors.SpreadsPoison,
        doors.ReadsWhatItHas, doors.WaitsForEver, doors.MixesTenants, doors.KeepsWhatItWasSent,
        pieces.MarksBeforeTheConfirm, pieces.PublishesOutOfOrder, pieces.SavesItsPositionFirst, pieces.SkipsEvents,
        pieces.HasANaiveCursor, broker_truth.TrustsTheBroker,
    )
}  # fmt: skip
