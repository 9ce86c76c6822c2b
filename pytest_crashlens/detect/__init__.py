"""Patterns of calls that cost more than they give: pure functions of the calls of a test."""
