"""pytest-crashlens: cost regression tests for code that calls LLMs.

PYTEST_DONT_REWRITE (pytest need not rewrite the assertions of this package).

This module stays empty of imports: it is loaded in every pytest run of an environment that has
the plugin installed, also when the plugin is off.
"""

__version__ = "0.1.0"
