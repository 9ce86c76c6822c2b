"""One module per wire format: what was seen on the wire (Exchange) becomes a Call."""
