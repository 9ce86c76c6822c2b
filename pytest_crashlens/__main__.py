"""``python -m pytest_crashlens``: the ``crashlens`` command under a name nobody else can take."""

from pytest_crashlens.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
