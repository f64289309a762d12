"""Contract suites for adapters: subclass one in a pytest module and give it the fixture that it asks for.

They need pytest and pytest-asyncio (`asyncio_mode = "auto"`), which `millrace` itself does not.
"""
