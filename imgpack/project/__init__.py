"""What a project's own files say of it: where it comes from, what it is called."""
