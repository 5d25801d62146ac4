"""Measures of scores, how sure they are, and the damage that a classifier survives."""
