"""What the configuration changes about progress."""

from __future__ import annotations

from infra.bootstrap import System, build
from infra.settings import load_settings
from tests.support.systems import asked, refused, told


async def test_types_of_work_have_rules_and_a_module_that_is_off_knows_no_commands(fresh_database_url: str) -> None:
    kind = {"transitions": {"read": ["check"]}, "metadata_schema": {"required": ["rows"]}, "stall_after": 30}
    ruled = load_settings(environ={}, progress={"types": {"import": kind}})
    running = await build(ruled, fresh_database_url)
    running.start()
    try:
        wish = {"id": "p", "type": "import", "stages": ["read", "check", "write"]}
        assert await refused(running, "progress.create", wish) == "invalid"
        made = await told(running, "progress.create", {**wish, "metadata": {"rows": 1}})
        assert made.result["progress"]["stall_after"] == 30
        await told(running, "progress.update", {"progress_id": "p", "progress": 0})
        assert (
            await refused(running, "progress.update", {"progress_id": "p", "progress": 0, "stage": "write"})
            == "refused"
        )
        assert await refused(running, "progress.advance", {"progress_id": "p", "stage": "write"}) == "refused"
        await told(running, "progress.advance", {"progress_id": "p"})
        assert (await asked(running, "progress.get", {"progress_id": "p"}))["progress"]["stage"] == "check"
    finally:
        await running.stop()
    off = await build(load_settings(environ={}, progress={"enabled": False}), fresh_database_url)
    off.start()
    try:
        assert await refused(off, "progress.create", {}) == "unknown-command"
    finally:
        await off.stop()


async def test_the_configuration_says_which_updates_are_recorded_and_each_event_has_its_callers_number(
    fresh_database_url: str,
) -> None:
    running = await build(
        load_settings(environ={}, progress={"sampling": {"seconds": None, "percent": 10}}), fresh_database_url
    )
    running.start()
    try:
        await told(running, "progress.create", {"id": "p"})
        outcomes = []
        for seq, percent in ((7, 1), (8, 5), (9, 10.5), (10, 12), (11, 21)):
            update = {"progress_id": "p", "progress": percent, "seq": seq}
            outcomes.append((await told(running, "progress.update", update)).result["outcome"])
        assert outcomes == ["recorded", "sampled", "sampled", "recorded", "sampled"]
        events = (await asked(running, "log.history", {"kind": "progress", "id": "p"}))["events"]
        assert [event["data"]["seq"] for event in events if "seq" in event["data"]] == [7, 10]
    finally:
        await running.stop()


async def test_what_one_process_has_recorded_counts_for_the_other(fresh_database_url: str) -> None:
    settings = load_settings(environ={}, progress={"sampling": {"seconds": 600}})
    first, second = await build(settings, fresh_database_url), await build(settings, fresh_database_url, ["api"])
    for running in (first, second):
        running.start()
    try:
        await told(first, "progress.create", {"id": "p"})

        async def outcome(running: System, percent: float) -> str:
            update = {"progress_id": "p", "progress": percent}
            return str((await told(running, "progress.update", update)).result["outcome"])

        assert [await outcome(first, 10), await outcome(second, 11), await outcome(first, 12)] == [
            "recorded",
            "sampled",
            "sampled",
        ]
    finally:
        for running in (second, first):
            await running.stop()
