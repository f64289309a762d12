"""The wire contracts: commands, replies, queries and event data exactly as they travel."""
