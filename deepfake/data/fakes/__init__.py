"""Fakes made from real faces in training."""
