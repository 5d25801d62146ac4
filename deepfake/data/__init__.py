"""Data sets, splits, loading, augmentation and made fakes."""
