"""The `millrace` command: starts the service and workers, and asks a running service."""
