"""What crashlens.yml and the marker ask for: a strict loader and the settings it yields."""
