"""Each test that the page of the features names exists."""

from __future__ import annotations

import re

import pytest

from infra.documents import DOCS
from tests.support.installed import ROOT

PAGE = (DOCS / "features.md").read_text()
ROWS = [row for row in re.findall(r"^\| (.+) \|$", PAGE, re.MULTILINE)[2:] if not row.startswith("**")]
NAMED = re.findall(r"`([\w/]+)::(\w+)`", PAGE)


def test_every_feature_has_a_test() -> None:
    assert len(ROWS) >= 50
    assert [row for row in ROWS if not re.search(r"`[\w/]+::test_\w+`", row)] == []


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    folder = ROOT / ("millrace/testing/contracts" if file.startswith("client_") else "tests")
    text = (folder / f"{file}.py").read_text()
    assert re.search(rf"^ *(async )?def {name}\(", text, re.MULTILINE), f"{file} has no {name}"
