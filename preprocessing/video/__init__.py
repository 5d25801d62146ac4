"""Frames of videos and photographs."""
