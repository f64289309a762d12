"""When a subscription's position is worth an acknowledgement, and where a worker goes on."""

from __future__ import annotations

from millrace.worker_progress import SCANNED_SILENTLY, Progress


def test_what_was_handled_is_worth_telling_and_what_was_only_scanned_is_not() -> None:
    progress = Progress()
    assert progress.resume("e-10") == "e-10"
    progress.move("e-20", handled=False)
    assert not progress.pending()
    progress.move("e-21", handled=True)
    progress.move("e-30", handled=False)
    assert progress.pending()
    assert progress.tell() == "e-30"
    assert not progress.pending()


def test_a_long_way_without_a_match_is_worth_telling_once() -> None:
    progress = Progress()
    progress.resume("e-0")
    progress.move(f"e-{SCANNED_SILENTLY - 1}", handled=False)
    assert not progress.pending()
    progress.move(f"e-{SCANNED_SILENTLY}", handled=False)
    assert progress.pending()
    progress.told(progress.tell())
    progress.move(f"e-{SCANNED_SILENTLY + 1}", handled=False)
    assert not progress.pending(), "its own acknowledgement is nothing to acknowledge"


def test_an_acknowledgement_that_failed_is_told_again() -> None:
    progress = Progress()
    progress.resume("e-0")
    progress.move("e-1", handled=True)
    progress.tell()
    progress.untold()
    assert progress.pending()


def test_a_worker_does_not_repeat_what_it_could_not_acknowledge() -> None:
    progress = Progress()
    progress.resume("e-0")
    progress.move("e-7", handled=True)
    assert progress.resume("e-3") == "e-7"
    assert progress.pending()


def test_a_worker_goes_on_where_another_one_or_another_log_has_got_to() -> None:
    progress = Progress()
    progress.resume("e-0")
    progress.move("e-7", handled=True)
    assert progress.resume("e-9") == "e-9"
    assert progress.resume("f-2") == "f-2"
    assert not progress.pending()
