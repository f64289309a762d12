"""Answers as HTTP shows them, where the contracts have no model of their own."""
