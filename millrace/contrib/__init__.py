"""Bridges from other systems: their interfaces on top of Millrace, for those who come from there."""
