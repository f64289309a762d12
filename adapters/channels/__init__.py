"""The ways out of the house: what carries a notification to a mailbox, a telephone, a browser or another service."""
