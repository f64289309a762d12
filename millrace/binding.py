"""Fits a job's data to the parameters of its handler."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from inspect import Parameter
from typing import Any

from millrace.contracts.job import Job
from millrace.errors import ArgumentMismatch
from millrace.job_arguments import Checks, as_data
from millrace.job_context import JobContext

JOB_TYPES = (Job, JobContext)
JOB_TYPE_NAMES = frozenset({"Job", "JobContext", "millrace.Job", "millrace.JobContext"})


class Binding:
    """How a function is called with a job: `job` if it declares it, everything else from the data by name.

    A function that takes the job may leave data unnamed; otherwise data that no parameter takes is a mismatch, since a
    misspelled name would silently run with a default.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.signature = inspect.signature(function)
        self.is_async = _is_async(function)
        self.job_parameter: str | None = None
        self.names: set[str] = set()
        self.required: set[str] = set()
        self.takes_all = False
        for name, parameter in self.signature.parameters.items():
            match parameter.kind:
                case Parameter.VAR_KEYWORD:
                    self.takes_all = True
                case Parameter.VAR_POSITIONAL:
                    continue
                case Parameter.POSITIONAL_ONLY:
                    raise TypeError(f"{function!r} takes {name!r} by position only; a job's data is passed by name")
                case _ if self.job_parameter is None and (name == "job" or _means_job(parameter.annotation)):
                    self.job_parameter = name
                case _:
                    self.names.add(name)
                    if parameter.default is Parameter.empty:
                        self.required.add(name)

    @cached_property
    def checks(self) -> Checks:
        """Looked up late: an annotation may name what is defined behind the function."""
        return Checks(self._function, self.names, self.required)

    def arguments(self, job: JobContext) -> dict[str, Any]:
        """The keyword arguments for one attempt.

        Raises:
            ArgumentMismatch: the data lacks a parameter, has one too many, or one of another type.
        """
        arguments = self.checks.checked(job.name, self._named(job))
        if self.job_parameter is not None:
            arguments[self.job_parameter] = job
        return arguments

    def _named(self, job: JobContext) -> dict[str, Any]:
        data = job.data
        if self.checks.model is not None:
            return {self.checks.model: data}
        given = data.keys()
        if not self.required <= given:
            missing = ", ".join(sorted(self.required - given))
            raise ArgumentMismatch(f"the data of job {job.name!r} lacks: {missing}")
        if self.takes_all or given <= self.names:
            arguments = dict(data)
        elif self.job_parameter is not None:
            arguments = {name: data[name] for name in self.names if name in data}
        else:
            superfluous = ", ".join(sorted(given - self.names))
            raise ArgumentMismatch(f"the handler of {job.name!r} has no parameter for: {superfluous}")
        return arguments

    def data(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The data that makes a job call the function as `function(*args, **kwargs)` would, without its `job`.

        Raises:
            TypeError: the function cannot be called so.
        """
        parameters = [each for name, each in self.signature.parameters.items() if name != self.job_parameter]
        bound = inspect.Signature(parameters).bind(*args, **kwargs)
        if self.checks.model is not None:
            return as_data(bound.arguments[self.checks.model])
        data: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            match self.signature.parameters[name].kind:
                case Parameter.VAR_KEYWORD:
                    data.update(value)
                case Parameter.VAR_POSITIONAL:
                    raise TypeError("a job's data is passed by name; *args cannot be")
                case _:
                    data[name] = value
        return data


def _is_async(function: Callable[..., Any]) -> bool:
    # Behind a decorator's wrapper, and in an object that is called like a function, too.
    faces = (function, inspect.unwrap(function), type(function).__call__)
    return any(inspect.iscoroutinefunction(face) for face in faces)


def _means_job(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.strip("\"'") in JOB_TYPE_NAMES
    return annotation in JOB_TYPES
