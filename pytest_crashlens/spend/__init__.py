"""What a run has spent while it runs, and which requests a spend cap refuses."""
