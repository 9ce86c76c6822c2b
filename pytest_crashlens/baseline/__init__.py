"""The committed snapshot: its entries, its file, and what differs from it."""
