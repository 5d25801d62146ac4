"""The page in a browser on which clips are judged."""
