"""What attempts have logged: taken in as it comes, and read with the job."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from domain.ports import JobLine, JobLogs
from handlers.routes import OperationRoute, QueryRoute
from millrace.contracts import job_logs as contract
from millrace.contracts.wire import Context


def operation_routes(logs: JobLogs) -> dict[str, OperationRoute]:
    """Lines are kept each time they arrive; repeated ones are there already."""

    async def log(command: contract.Log, context: Context) -> dict[str, Any]:
        lines = [
            JobLine(
                each.job_id, each.attempt, line.n, line.at, line.level, line.message,
                to_json(line.fields, inf_nan_mode="null").decode(),
            )
            for each in command.attempts
            for line in each.lines
        ]  # fmt: skip
        return {"kept": await logs.append(context.tenant, lines)}

    return {"job.log": OperationRoute(contract.Log, log)}


def query_routes(logs: JobLogs) -> dict[str, QueryRoute]:
    """The lines of one attempt."""

    async def read(query: contract.GetLogs, context: Context) -> dict[str, Any]:
        return await logs.read(context.tenant, query.job_id, query.attempt)

    return {"job.logs": QueryRoute(contract.GetLogs, read)}
