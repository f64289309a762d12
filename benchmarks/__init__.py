"""The race: Millrace and its peers side by side on the same servers. `python -m benchmarks --help`."""
