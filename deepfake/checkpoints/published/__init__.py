"""Checkpoints of others: recognised by their tensor names, converted, with their recipes."""
