"""The tests: real files in a temporary directory, real servers on loopback, no mocks."""
