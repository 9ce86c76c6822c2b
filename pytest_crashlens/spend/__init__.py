"""What a run has spent while it runs, and which requests a spend cap refuses."""

CAPS = "caps"
"""Name of the file that tells other processes that there are caps, and that of the run."""
