"""Sides of a data set, and what they must not share."""
