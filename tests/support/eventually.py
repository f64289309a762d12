"""Where tests of the service find what the client's suites wait with."""

from millrace.testing.contracts.eventually import POLL_SECONDS, eventually

__all__ = ["POLL_SECONDS", "eventually"]
