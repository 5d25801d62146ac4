"""How the model that ships is made: material, training, validation, release."""
