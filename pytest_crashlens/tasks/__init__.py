"""What kind of task a call is, inferred from its request by rules that can be read."""
