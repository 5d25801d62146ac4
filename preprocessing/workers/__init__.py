"""Processes that do the work: here, under Ray, and closed off."""
