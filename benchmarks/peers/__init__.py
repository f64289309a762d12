"""One module for each system in the race, run in an environment of its own."""
