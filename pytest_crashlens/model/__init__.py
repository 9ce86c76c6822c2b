"""The vocabulary: Usage, Exchange, Call, TestUsage, money. Frozen, pure, no I/O, no pytest."""
