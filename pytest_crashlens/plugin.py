"""The pytest plugin's entry point."""
