"""The document's figures are those of the last run, and say where they are not of one piece."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.harness.phase import Outcome
from tests.faults.profiles import full
from tests.faults.publish import BUILDS, FIGURES, NoSuchBlock, block, marks, published
from tests.faults.report import ledger, plain

WHOLE = tuple((phase.name, "abc", "today", sum(phase.faults.values())) for phase in full())


def report(*phases: tuple[str, str, str, int]) -> dict[str, object]:
    outcomes = [
        {**plain(Outcome(phase=name, seed=7, findings={}, faults=Counter({"broker.kill": faults}))),
         "revision": revision, "run": run}
        for name, revision, run, faults in phases
    ]  # fmt: skip
    return {
        "profile": "full", "seed": 7, "at": "today", "revision": phases[-1][1], "machine": "2 cores",
        "command": "make faults PROFILE=full SEED=7", "promises": ledger(outcomes), "phases": outcomes,
        "slowest_recoveries": [["broker.kill", 2.0]], "figures": {"A claim": "1 ms"},
    }  # fmt: skip


def test_a_block_is_replaced_and_what_stands_around_it_stays(tmp_path: Path) -> None:
    (begin, end), (builds, _) = marks(FIGURES), marks(BUILDS)
    document = tmp_path / "promises.md"
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n{builds}\n")
    published(document, FIGURES, block(report(*WHOLE)))
    text = document.read_text()
    assert text.startswith(f"before\n{begin}\n\n`make faults PROFILE=full SEED=7`\n\nProfile `full`, seed 7")
    assert text.endswith(f"A claim: 1 ms.\n\n{end}\nafter\n{builds}\n")
    assert "old" not in text
    assert f"{sum(each[3] for each in WHOLE)} broker" in text


def test_a_run_in_parts_says_so() -> None:
    text = block(report(("zombies", "abc", "monday", 200), ("the broker", "abc", "tuesday", 3)))
    assert "Taken in parts: zombies at abc, monday; the broker at abc, tuesday." in text
    assert "Not among them: workers are killed, services" in text
    assert "With fewer faults than the profile has: the broker (3 of 61)." in text


def test_a_document_without_a_place_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "promises.md"
    document.write_text("nothing\n")
    with pytest.raises(NoSuchBlock, match=r"promises\.md has no lines .* between which the figures belong"):
        published(document, FIGURES, "figures")
    assert document.read_text() == "nothing\n"
