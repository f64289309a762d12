"""Plug-ins that come with installed packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from millrace import Job, JobPlugin, PluginUnusable
from millrace.job_plugins import GROUP, plugin_of

HERE = "tests.unit.test_job_plugins"


class Audit(JobPlugin):
    def on_complete(self, job: Job) -> None: ...


AUDIT = Audit()


class NeedsMore(Audit):
    def __init__(self, url: str) -> None:
        self.url = url


def offered(value: str) -> EntryPoint:
    return EntryPoint("audit", value, GROUP)


def test_a_package_offers_a_class_or_an_instance() -> None:
    assert type(plugin_of(offered(f"{HERE}:Audit"))) is Audit
    assert plugin_of(offered(f"{HERE}:AUDIT")) is AUDIT


@pytest.mark.parametrize("value", [f"{HERE}:offered", f"{HERE}:Job", f"{HERE}:NeedsMore", f"{HERE}:gone", "no.such"])
def test_what_is_no_plug_in_is_named(value: str) -> None:
    with pytest.raises(PluginUnusable, match=value):
        plugin_of(offered(value))
