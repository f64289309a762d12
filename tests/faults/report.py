"""What a run proves, by promise: faults, violations, and how sure that makes us."""

from __future__ import annotations

import json
import platform
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields as fields_of
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.faults.harness.phase import Outcome
from tests.faults.harness.postgres import programs
from tests.faults.harness.verdict import WATCHES

OUT = Path(__file__).parent / "out"
REPORT = OUT / "report.json"
PROMISES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "P1": ("accepted means durable", ("service", "broker", "postgres", "crash")),
    "P2": ("one effect per command", ("service", "broker", "postgres", "crash")),
    "P3": ("every accepted job ends exactly once", ("worker", "service", "broker", "postgres", "crash")),
    "P4": ("order, no holes", ("service", "broker", "postgres", "crash")),
    "P5": ("read models equal a replay", ("service", "postgres", "crash")),
    "P6": ("only PostgreSQL is precious", ("broker",)),
    "P7": ("nothing hangs", ("service", "broker", "postgres", "clock", "crash")),
    "P8": ("everything is bounded", ("worker", "service", "broker", "postgres", "clock", "crash")),
    "P9": ("poison stays local", ("poison",)),
    "P10": ("tenants cannot observe each other", ("worker", "service", "broker", "postgres", "clock", "crash")),
}
# A broker's fault breaks P6 where it makes anything else break.
KEPT_WITHOUT_THE_BROKER = frozenset({"P1", "P2", "P3", "P4"})
CONFIDENCE = 0.95


def upper_bound(faults: int) -> float | None:
    """The largest share of violations per fault that `faults` faults without any leave possible at 95 %."""
    return 1 - (1 - CONFIDENCE) ** (1 / faults) if faults else None


def ledger(outcomes: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each promise the faults that could have broken it, and the violations that were found."""
    faults: Counter[str] = Counter()
    violations: Counter[str] = Counter()
    for outcome in outcomes:
        faults.update(outcome["faults"])
        faults.update({f"poison.{name}": count for name, count in outcome.get("poison", {}).items()})
        broken = Counter({name: len(found) for name, found in outcome["findings"].items()})
        for checker, count in broken.items():
            violations[WATCHES[checker]] += count
        if any(kind.startswith("broker.") for kind in outcome["faults"]):
            violations["P6"] += sum(n for name, n in broken.items() if WATCHES[name] in KEPT_WITHOUT_THE_BROKER)
    found = {}
    for promise, (text, targets) in PROMISES.items():
        own = {kind: n for kind, n in sorted(faults.items()) if kind.partition(".")[0] in targets}
        total = sum(own.values())
        found[promise] = {
            "promise": text, "faults": own, "total": total, "violations": violations[promise],
            "upper_bound": upper_bound(total) if not violations[promise] else None,
        }  # fmt: skip
    return found


def written(
    profile: str, seed: int, command: str, began: str, outcomes: Sequence[Outcome], extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes `report.json` and returns what is in it.

    Phases of the same profile and seed that ran before and not now are kept, so that a profile can be run in parts;
    each names the revision that it ran on, and when the run that it belongs to `began`.
    """
    OUT.mkdir(exist_ok=True)
    revision = _revision()
    now = {outcome.phase: {**plain(outcome), "revision": revision, "run": began} for outcome in outcomes}
    head = {"profile": profile, "seed": seed}
    before: dict[str, Any] = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    same = all(before.get(key) == value for key, value in head.items())
    phases = {**({each["phase"]: each for each in before["phases"]} if same else {}), **now}
    recoveries = sorted((r for each in phases.values() for r in each["recoveries"]), key=lambda r: -r[1])[:10]
    report = {
        **head, "revision": revision, "command": command, "machine": _machine(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(), "promises": ledger(phases.values()), "slowest_recoveries": recoveries,
        "figures": {**(before.get("figures", {}) if same else {}), **extra}, "phases": list(phases.values()),
    }  # fmt: skip
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
    return report


def plain(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON carries it."""
    fields = {each.name: getattr(outcome, each.name) for each in fields_of(outcome)}
    # Counters of a dataclass do not survive being taken apart.
    return fields | {"faults": dict(outcome.faults), "poison": dict(outcome.poison)}


def table(report: Mapping[str, Any]) -> str:
    """The report for people, in Markdown."""
    lines = [
        f"Profile `{report['profile']}`, seed {report['seed']}, {report['at']}, revision {report['revision']},"
        f" {report['machine']}.",
        "",
        "| promise | faults | violations | 95 % upper bound per fault |",
        "|---|---|---|---|",
    ]
    for name, row in report["promises"].items():
        kinds = Counter[str]()
        for kind, n in row["faults"].items():
            kinds[kind.partition(".")[0]] += n
        faults = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())) or "not tested here"
        bound = "" if row["upper_bound"] is None else f"{row['upper_bound']:.1%}"
        lines.append(f"| {name} {row['promise']} | {faults} | {row['violations']} | {bound} |")
    lines += [
        "",
        "| phase | faults | jobs | events | in doubt | late reports | settled after | slowest answer | took |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for phase in report["phases"]:
        settled = "never" if phase["settled"] is None else f"{phase['settled']:.1f} s"
        lines.append(
            f"| {phase['phase']} | {sum(phase['faults'].values())} | {phase['jobs']} | {phase['events']} |"
            f" {phase['doubtful']} | {phase['late_tried']} refused | {settled} | {phase['slowest_answer']:.1f} s |"
            f" {phase['seconds']:.0f} s |"
        )
    slow = ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in report["slowest_recoveries"][:5])
    lines += ["", f"Slowest recoveries: {slow or 'none was measured'}."]
    lines += [f"{name}: {value}." for name, value in report["figures"].items()]
    for phase in report["phases"]:
        for checker, found in phase["findings"].items():
            lines.append(
                f"- **{phase['phase']}: {checker}: {len(found)}**, such as {found[0]} (files: {phase['folder']})"
            )
    return "\n".join(lines)


def _machine() -> str:
    return f"{psutil.cpu_count()} cores, {round(psutil.virtual_memory().total / 2**30)} GiB, {platform.system()}"


def _versions() -> dict[str, str]:
    postgres = subprocess.run([str(programs() / "postgres"), "--version"], capture_output=True, text=True, check=True)
    return {"python": platform.python_version(), "postgresql": postgres.stdout.split()[2]}


def _revision() -> str:
    told = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False,
                          cwd=OUT.parent)  # fmt: skip
    return told.stdout.strip() or "unknown"
