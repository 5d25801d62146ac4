"""Our figures beside those of the published procedure: `python -m benchmarks`."""
