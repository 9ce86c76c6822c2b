"""What people and programs read: pure functions of a RunResult."""
