"""A pipeline over the source files of Python's own standard library, run end to end on Millrace."""
