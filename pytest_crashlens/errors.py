"""Errors that are a user's to mend, each with file, place, fault and fix in its text.

CrashlensError
|- ConfigError      crashlens.yml or marker arguments
|- BaselineError    the committed baseline snapshot
`- PriceError       a price that was given to us and cannot be read
"""


class CrashlensError(Exception):
    """What the user wrote or keeps cannot be used; ``str(error)`` says what, where and the fix."""


class ConfigError(CrashlensError):
    """crashlens.yml or a marker's arguments are wrong; all problems of one source in one error."""


class BaselineError(CrashlensError):
    """The baseline file cannot be read or written; what is on disk is left as it was."""


class PriceError(CrashlensError):
    """A price given by the user or the shipped overlay cannot be read."""
