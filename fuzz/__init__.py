"""Damaged and hostile files thrown at the commands. A tool of its own, not part of the tests."""
