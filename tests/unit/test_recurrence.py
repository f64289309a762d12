"""When cron expressions and intervals are due: changing clocks, leap days, month ends, long outages."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contracts.recurrence import Cron, Interval, normalized, recurrence, upcoming, zone_of
from tests.support.wall_clock import due_by_the_rules

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def cron(expression: str, zone: str = "UTC") -> Cron:
    return Cron(normalized(expression), ZoneInfo(zone))


def due(expression: str, zone: str, after: str, count: int) -> list[str]:
    """The local times that follow, with their offset from UTC."""
    recurring = cron(expression, zone)
    found = islice(upcoming(recurring, recurring.after(utc(after)), None), count)
    return [each.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M%z")[:-2] for each in found]


# --------------------------------------------------------------------------------------------------- changing clocks


@pytest.mark.parametrize(
    ("zone", "eve", "expected"),
    [
        # 02:00 → 03:00
        (BERLIN, "2026-03-27 12:00", ["03-28 02:30+01", "03-29 03:00+02", "03-30 02:30+02"]),
        (NEW_YORK, "2026-03-07 00:00", ["03-07 02:30-05", "03-08 03:00-04", "03-09 02:30-04"]),
        # 02:00 → 02:30: half an hour is skipped, and 02:30 is the first instant after it
        ("Australia/Lord_Howe", "2026-10-02 12:00", ["10-03 02:30+10", "10-04 02:30+11", "10-05 02:30+11"]),
        # 01:00 → 03:00
        ("Antarctica/Troll", "2026-03-27 12:00", ["03-28 02:30+00", "03-29 03:00+02", "03-30 02:30+02"]),
    ],
)
def test_a_time_that_the_clocks_skip_is_due_at_the_first_instant_after_the_gap(
    zone: str, eve: str, expected: list[str]
) -> None:
    assert due("30 2 * * *", zone, eve, 3) == expected


@pytest.mark.parametrize(
    ("zone", "expression", "eve", "expected"),
    [
        # 03:00 → 02:00
        (BERLIN, "30 2 * * *", "2026-10-23 12:00", ["10-24 02:30+02", "10-25 02:30+02", "10-26 02:30+01"]),
        (NEW_YORK, "30 1 * * *", "2026-10-31 00:00", ["10-31 01:30-04", "11-01 01:30-04", "11-02 01:30-05"]),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-03 12:00",
            ["04-04 01:45+11", "04-05 01:45+11", "04-06 01:45+10"],
        ),
    ],
)
def test_a_time_that_comes_twice_is_due_the_first_time(
    zone: str, expression: str, eve: str, expected: list[str]
) -> None:
    assert due(expression, zone, eve, 3) == expected


def test_a_time_that_came_is_not_due_again_in_the_hour_that_is_repeated() -> None:
    # 02:50 by the first count of the hour, and 02:10, 02:50 by the second.
    for after in ("2026-10-25 00:50", "2026-10-25 01:10", "2026-10-25 01:50"):
        assert due("45 2 * * *", BERLIN, after, 1) == ["10-26 02:45+01"]


def test_times_that_fall_on_one_instant_are_due_once() -> None:
    assert due("0,20,40 2,3 * * *", BERLIN, "2026-03-28 12:00", 4) == [
        "03-29 03:00+02",
        "03-29 03:20+02",
        "03-29 03:40+02",
        "03-30 02:00+02",
    ]


def test_midnight_that_does_not_exist_is_due_with_the_first_instant_of_the_day() -> None:
    # In Cairo and Havana the clocks go from 00:00 to 01:00.
    assert due("@daily", "Africa/Cairo", "2026-04-23 12:00", 2) == ["04-24 01:00+03", "04-25 00:00+03"]
    assert due("@daily", "America/Havana", "2026-03-07 12:00", 2) == ["03-08 01:00-04", "03-09 00:00-04"]


@pytest.mark.parametrize("expression", ["*/30 * * * *", "0,30 * * * *", "0,30 */1 * * *"])
def test_an_expression_for_every_hour_runs_in_each_that_passes(expression: str) -> None:
    spring = due(expression, BERLIN, "2026-03-29 00:00", 4)
    assert spring == ["03-29 01:30+01", "03-29 03:00+02", "03-29 03:30+02", "03-29 04:00+02"]
    autumn = due(expression, BERLIN, "2026-10-25 00:00", 5)
    assert autumn == ["10-25 02:30+02", "10-25 02:00+01", "10-25 02:30+01", "10-25 03:00+01", "10-25 03:30+01"]


def test_an_expression_that_names_hours_runs_once_for_each_of_them() -> None:
    autumn = due("0 */2 * * *", BERLIN, "2026-10-24 22:00", 3)
    assert autumn == ["10-25 02:00+02", "10-25 04:00+01", "10-25 06:00+01"]
    spring = due("0 */2 * * *", BERLIN, "2026-03-28 23:30", 3)
    assert spring == ["03-29 03:00+02", "03-29 04:00+02", "03-29 06:00+02"]
    every_minute = due("* 2 * * *", BERLIN, "2026-03-29 00:30", 2)
    assert every_minute == ["03-29 03:00+02", "03-30 02:00+02"]


def test_an_interval_knows_no_clock_changes() -> None:
    interval = Interval(1_800, utc("2026-03-29 00:10"))
    assert interval.after(utc("2026-03-29 00:45")) == utc("2026-03-29 01:10")
    assert interval.after(utc("2026-03-29 01:10")) == utc("2026-03-29 01:40")


def test_a_day_that_a_zone_left_out_is_made_up_for_at_its_end() -> None:
    # Samoa went from the 29th to the 31st of December 2011.
    assert due("0 12 30 12 *", "Pacific/Apia", "2011-12-01 00:00", 1) == ["12-31 00:00+14"]


# --------------------------------------------------------------------------------------------------------- calendars


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 0 29 2 *", "2026-01-01", ["2028-02-29", "2032-02-29"]),
        ("0 0 29 2 *", "2096-03-01", ["2104-02-29", "2108-02-29"]),
        ("0 0 31 * *", "2026-01-31", ["2026-03-31", "2026-05-31", "2026-07-31", "2026-08-31"]),
        ("0 0 L * *", "2028-01-31", ["2028-02-29", "2028-03-31", "2028-04-30"]),
        ("0 0 * * 5", "2026-12-30", ["2027-01-01", "2027-01-08"]),
        # Where both days are restricted, either will do, as in cron.
        ("0 0 13 * 5", "2026-02-07", ["2026-02-13", "2026-02-20"]),
        ("0 0 * * MON-FRI", "2026-01-01", ["2026-01-02", "2026-01-05"]),
        ("0 0 1 JAN,jul *", "2026-01-01", ["2026-07-01", "2027-01-01"]),
        ("0 0 * * 7", "2026-01-01", ["2026-01-04"]),
        ("@yearly", "2026-05-05", ["2027-01-01"]),
        ("@monthly", "2026-05-05", ["2026-06-01"]),
        ("@weekly", "2026-05-05", ["2026-05-10"]),
    ],
)
def test_leap_days_month_ends_and_names(expression: str, after: str, expected: list[str]) -> None:
    recurring = cron(expression)
    found = islice(upcoming(recurring, recurring.after(utc(after)), None), len(expected))
    assert [each.date().isoformat() for each in found] == expected


def test_a_due_time_is_later_than_what_is_asked_for_by_whatever_fraction() -> None:
    hourly = cron("@hourly")
    assert hourly.after(utc("2026-01-01 10:00")) == utc("2026-01-01 11:00")
    assert hourly.after(utc("2026-01-01 09:59:59.999999")) == utc("2026-01-01 10:00")
    assert hourly.after(utc("2026-01-01 10:00:00.000001")) == utc("2026-01-01 11:00")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("60 * * * *", "bad minute"),
        ("* 24 * * *", "bad hour"),
        ("* * 0 * *", "bad day-of-month"),
        ("* * * 13 *", "bad month"),
        ("* * * * 8", "bad day-of-week"),
        ("5-1 * * * *", "bad minute"),
        ("*/0 * * * *", "bad minute"),
        ("0 0 31 4 *", "bad day-of-month"),
        ("0 0 */20 * 1L", "50 years"),
        ("@reboot", "not a nickname"),
    ],
)
def test_what_is_no_expression_is_refused_with_what_is_wrong(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        normalized(expression)


def test_what_is_no_zone_is_refused() -> None:
    for name in ("Mars/Olympus", "", "../../etc/passwd", "/etc/localtime", "UTC+2\x00"):
        with pytest.raises(ValueError, match="IANA time zone"):
            zone_of(name)


def test_a_recurrence_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="either"):
        recurrence(None, None, "UTC", utc("2026-01-01"))
    with pytest.raises(ValueError, match="either"):
        recurrence("@daily", 5, "UTC", utc("2026-01-01"))


# ------------------------------------------------------------------------------------------------------ long outages


def test_the_newest_due_times_are_found_however_long_the_outage_was() -> None:
    first, until = utc("1996-01-01"), utc("2026-01-01 12:00:30")
    minutes = cron("* * * * *", BERLIN).newest(first, until, 3)
    assert minutes == [utc("2026-01-01 11:58"), utc("2026-01-01 11:59"), utc("2026-01-01 12:00")]
    seconds = Interval(1, first).newest(first, until, 2)
    assert seconds == [utc("2026-01-01 12:00:29"), utc("2026-01-01 12:00:30")]
    # Dense for a month, eleven months ago.
    assert cron("* * * 1 *").newest(first, utc("2026-12-31"), 2) == [utc("2026-01-31 23:58"), utc("2026-01-31 23:59")]


def test_fewer_due_times_than_may_be_made_up_for_are_all_found() -> None:
    daily = cron("0 9 * * *", NEW_YORK)
    first = utc("2026-03-06 14:00")
    assert daily.newest(first, utc("2026-03-09 20:00"), 100) == [
        first,
        utc("2026-03-07 14:00"),
        utc("2026-03-08 13:00"),
        utc("2026-03-09 13:00"),
    ]
    assert daily.newest(first, first, 100) == [first]


# ----------------------------------------------------------------------------- against the rules, minute by minute

CHANGES = [
    (BERLIN, "2026-03-29 01:00"), (BERLIN, "2026-10-25 01:00"), (NEW_YORK, "2026-03-08 07:00"),
    (NEW_YORK, "2026-11-01 06:00"), ("Australia/Lord_Howe", "2026-10-03 15:30"),
    ("Australia/Lord_Howe", "2026-04-04 15:00"), ("Africa/Cairo", "2026-04-23 22:00"),
    ("America/Havana", "2026-11-01 05:00"), ("Antarctica/Troll", "2026-10-25 01:00"),
    ("Asia/Kathmandu", "2026-05-05 00:00"),
]  # fmt: skip
HOURS = st.one_of(
    st.sampled_from(["*", "*/1", "*/2", "1-3", "0,23", "22-23"]),
    st.integers(0, 4).map(str),
    st.integers(0, 23).map(str),
)
MINUTES = st.one_of(st.sampled_from(["*", "*/15", "5-50/7", "0,30", "59"]), st.integers(0, 59).map(str))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(CHANGES),
    MINUTES,
    HOURS,
    st.sampled_from(["*", "1", "8", "25-29"]),
    st.integers(0, 240),
    st.integers(1, 6),
)
def test_around_a_change_of_the_clock_exactly_what_the_rules_say_is_due(
    change: tuple[str, str], minutes: str, hours: str, days: str, before: int, limit: int
) -> None:
    zone, at = change
    recurring = cron(f"{minutes} {hours} {days} * *", zone)
    start, until = utc(at) - timedelta(minutes=before), utc(at) + timedelta(hours=5)
    expected = due_by_the_rules(recurring.expression, ZoneInfo(zone), start, until)
    assert list(upcoming(recurring, recurring.after(start), until)) == expected
    if expected:
        assert recurring.newest(expected[0], until, limit) == expected[-limit:]


def test_which_zones_there_are_does_not_depend_on_the_machine(tmp_path: Path) -> None:
    # A machine's folder may have other names besides, such as these.
    (tmp_path / "Mine").write_bytes(resources.files("tzdata.zoneinfo").joinpath("UTC").read_bytes())
    tried = "from millrace.contracts.recurrence import known_zone; import sys; print(known_zone(sys.argv[1]))"

    def ask(name: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "PYTHONTZPATH": str(tmp_path)}
        command = [sys.executable, "-c", tried, name]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=240, check=False)

    assert ask("Europe/Zurich").stdout == "Europe/Zurich\n"
    for name in ("Mine", "posixrules", "../UTC", "europe/zurich", "x" * 1_000):
        refused = ask(name)
        assert refused.returncode == 1
        assert "is not an IANA time zone" in refused.stderr
        assert len(refused.stderr.splitlines()[-1]) < 200
