"""How what ships was made: run from a clone, not part of the installed package."""
