"""Each queue gets its part of a worker's slots, and soon."""

from __future__ import annotations

import pytest

from millrace.cli.errors import CliError
from millrace.cli.worker import weighted_queues
from millrace.worker_shares import Shares


def test_over_time_each_queue_gets_its_part() -> None:
    shares = Shares({"default": 3, "media": 1, "mail": 0.5})
    assert shares.of(90) == {"default": 60, "media": 20, "mail": 10}


def test_one_slot_at_a_time_comes_to_the_same_and_nobody_waits_long() -> None:
    shares = Shares({"default": 3, "media": 1})
    order = [next(iter(shares.of(1))) for _ in range(8)]
    assert (order.count("default"), order.count("media")) == (6, 2)
    assert "media" in order[:4]
    assert "media" in order[4:]


@pytest.mark.parametrize("weights", [{}, {"default": 0}, {"default": -1}, {"default": float("nan")}])
def test_weights_are_numbers_above_nothing(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weights above 0"):
        Shares(weights)


def test_weights_are_read_from_the_command_line() -> None:
    assert weighted_queues("default=3, media=0.5") == {"default": 3.0, "media": 0.5}
    assert weighted_queues("default,media") == weighted_queues(None) == {}
    for wrong in ("default=3,media", "default=x", "default=0"):
        with pytest.raises(CliError, match="default=3,media=1"):
            weighted_queues(wrong)
