"""Square images of faces, and the folder that holds them."""
