"""Which faces are one person."""
