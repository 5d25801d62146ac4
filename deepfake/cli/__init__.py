"""What the verbs share: consoles, files to judge, limits."""
