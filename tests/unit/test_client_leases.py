from __future__ import annotations

from millrace.worker_leases import Leases

KEY, OTHER = ("job-7", 1), ("job-8", 3)


def granted(leases: Leases, key: tuple[str, int] = KEY, sent: float = 100.0, now: float = 100.1) -> bool:
    return leases.grant(key, sent=sent, held=0.0, lease=5.0, now=now)


def test_a_grant_is_valid_for_four_fifths_of_its_lease_after_the_claim_was_sent() -> None:
    leases = Leases()
    assert granted(leases)
    assert leases.expire(103.9) == []
    assert leases.expire(104.0) == [KEY]
    assert len(leases) == 0


def test_the_time_that_the_service_held_the_claim_does_not_count() -> None:
    leases = Leases()
    assert leases.grant(KEY, sent=100.0, held=20.0, lease=5.0, now=120.2)
    assert leases.expire(123.9) == []
    assert leases.expire(124.0) == [KEY]


def test_an_answer_that_was_on_its_way_too_long_grants_nothing() -> None:
    leases = Leases()
    assert not granted(leases, now=104.0)
    assert len(leases) == 0


def test_a_grant_is_to_be_confirmed_after_a_second_and_renewed_every_ten() -> None:
    leases = Leases()
    granted(leases)
    assert not leases.renewal_due(101.0)
    assert leases.renewal_due(101.1)
    leases.renewing(101.1)
    leases.renewed([KEY], sent=101.1, lease=30.0)
    assert not leases.renewal_due(111.0)
    assert leases.renewal_due(111.2)


def test_a_short_lease_is_confirmed_and_renewed_well_before_it_ends() -> None:
    leases = Leases()
    leases.grant(KEY, sent=100.0, held=0.0, lease=1.0, now=100.0)
    assert leases.renewal_due(100.21)
    leases.renewed([KEY], sent=100.2, lease=3.0)
    assert not leases.renewal_due(101.19)
    assert leases.renewal_due(101.21)


def test_a_renewal_that_failed_is_tried_again_a_second_later() -> None:
    leases = Leases()
    granted(leases)
    leases.renewing(101.1)
    assert not leases.renewal_due(102.0)
    assert leases.renewal_due(102.2)


def test_a_renewal_counts_from_when_it_was_sent() -> None:
    leases = Leases()
    granted(leases)
    leases.renewed([KEY], sent=101.0, lease=30.0)
    assert leases.expire(124.9) == []
    assert leases.expire(125.0) == [KEY]


def test_a_renewal_does_not_bring_back_what_was_released_meanwhile() -> None:
    leases = Leases()
    granted(leases)
    granted(leases, OTHER)
    leases.release(KEY)
    leases.renewed([KEY, OTHER], sent=101.0, lease=30.0)
    assert leases.keys() == [OTHER]


def test_nothing_is_renewed_while_nothing_runs() -> None:
    assert not Leases().renewal_due(1_000.0)
