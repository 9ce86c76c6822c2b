"""Python processes that tests start: they measure themselves and tell numbers through files.

Only when asked for, as it needs the environment of those processes: their ``PYTHONPATH`` gets a
folder with a ``sitecustomize`` module first, which starts the recorder and then runs the one that
it stands before. Processes without a ``site`` (``python -S``, ``-I``, ``-E``), of another
environment or language, and what is stopped by ``os._exit`` or a signal, stay unseen; the last
two are named.
"""
