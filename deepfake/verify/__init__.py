"""Evidence: a verdict that is signed with what it says, and judged again from it."""
