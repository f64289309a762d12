"""The document's figures are those of the last run, and say where they are not of one piece."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.harness.phase import Outcome
from tests.faults.profiles import full
from tests.faults.publish import BEGIN, END, NoSuchBlock, block, published
from tests.faults.report import ledger, plain


def report(*phases: tuple[str, str]) -> dict[str, object]:
    outcomes = [
        {**plain(Outcome(phase=name, seed=7, findings={}, faults=Counter({"broker.kill": 3}))), "revision": revision}
        for name, revision in phases
    ]
    return {
        "profile": "full", "seed": 7, "at": "today", "revision": phases[-1][1], "machine": "2 cores",
        "command": "make faults PROFILE=full SEED=7", "promises": ledger(outcomes), "phases": outcomes,
        "slowest_recoveries": [["broker.kill", 2.0]], "figures": {"A claim": "1 ms"},
    }  # fmt: skip


def test_the_block_is_replaced_and_what_stands_around_it_stays(tmp_path: Path) -> None:
    document = tmp_path / "promises.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    published(document, block(report(*((phase.name, "abc") for phase in full())), None))
    text = document.read_text()
    assert text.startswith(f"before\n{BEGIN}\n\n`make faults PROFILE=full SEED=7`\n\nProfile `full`, seed 7")
    assert text.endswith(f"A claim: 1 ms.\n\n{END}\nafter\n")
    assert "old" not in text
    assert f"{3 * len(full())} broker" in text


def test_a_run_in_parts_says_so() -> None:
    text = block(report(("zombies", "abc"), ("the broker", "def")), [])
    assert "Taken in parts: zombies at abc, the broker at def." in text
    assert "Not among them: workers are killed, services" in text


def test_a_document_without_a_place_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "promises.md"
    document.write_text("nothing\n")
    with pytest.raises(NoSuchBlock, match=r"promises\.md has no lines"):
        published(document, "figures")
    assert document.read_text() == "nothing\n"
