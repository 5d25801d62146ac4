"""Why a network says what it says: heat maps over faces, and whether they are faithful."""
