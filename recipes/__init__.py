"""How what the packages ship is made; not part of them."""
