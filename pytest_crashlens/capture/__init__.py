"""Seeing HTTP exchanges as they happen, above the mock tools and below the SDKs.

Nothing here knows wire formats, pytest or files: a Recorder keeps attempts for their owners, the
adapters feed it, and whoever owns the Recorder drains it when no request is in flight.
"""
