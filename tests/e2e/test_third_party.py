"""A package of somebody else's with adapters, installed from its wheel: found by entry point, and under contract."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.settings import Settings
from tests.support.installed import ROOT, built_wheel, clean_environment, environment_with, run
from tests.support.service import running_service

EXAMPLE = ROOT / "examples" / "adapter"
SECONDS = 600
CHOSEN = "TestTransport or TestPacked"


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="millrace-adapter-") as made:
        folder = Path(made)
        source = shutil.copytree(EXAMPLE, folder / "source")
        (folder / "wheels").mkdir()
        wheels = [built_wheel(ROOT, folder / "wheels"), built_wheel(source, folder / "wheels")]
        yield environment_with(wheels, folder)


def test_a_scheme_and_a_name_find_the_package(programs: Path) -> None:
    program = (
        "from millrace.transport import transport_for\n"
        "from millrace.serializers import serializer_of\n"
        "transport, serializer = transport_for('std+http://127.0.0.1:1', None), serializer_of('packed')\n"
        "print(type(transport).__module__, type(serializer).__module__)\n"
        "try:\n"
        "    transport_for('ftp://host', None)\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    found, refused = run([str(programs / "python"), "-P", "-c", program], programs.parent).splitlines()
    assert found == "millrace_stdlib.transport millrace_stdlib.serializer"
    assert refused.endswith("begin with one of http://, https://, amqp://, amqps://, std+http://")


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
async def test_the_adapters_keep_the_contracts(programs: Path, database_url: str, tmp_path: Path) -> None:
    settings = Settings.model_validate({"modules": {"jobs": {"storage": {"path": str(tmp_path)}}}})
    async with running_service(database_url, settings=settings) as service:
        process = await asyncio.create_subprocess_exec(
            *(str(programs / "python"), "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-o", "asyncio_mode=auto", "-k", CHOSEN, "tests"),
            cwd=programs.parents[1] / "source",
            env={**clean_environment(programs), "MILLRACE_URL": service.http},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 0, out.decode()
    assert " passed" in out.decode()
