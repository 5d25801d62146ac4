"""Crops in tar files, for network disks."""
