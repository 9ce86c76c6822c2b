"""Counting tokens of calls whose provider stated no usage; offline always."""
