"""The ``crashlens`` command: the same rooms as the plugin, without pytest."""
