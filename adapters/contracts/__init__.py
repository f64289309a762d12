"""Contract suites for adapters of the service's ports: subclass one in a pytest module and give it its fixture.

They need pytest and pytest-asyncio (`asyncio_mode = "auto"`), which the service itself does not.
"""
