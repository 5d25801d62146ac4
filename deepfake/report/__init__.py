"""Pages, tables and videos that people look at."""
