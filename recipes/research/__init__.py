"""What a paper measures beside scores: heat maps, probes, curves over domains, top-ups."""
