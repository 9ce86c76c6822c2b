"""A support assistant for a bicycle shop: sorts tickets, drafts replies, reads long threads."""
