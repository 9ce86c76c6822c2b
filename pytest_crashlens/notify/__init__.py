"""Messages about a run for people and programs elsewhere: what they say, and how they get there."""
