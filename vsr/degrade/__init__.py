"""What spoils a clean picture on its way to a low one: one file a kind of damage."""
