"""HTTP exchanges that somebody kept in files: cassettes, HAR files, lines of JSON."""
