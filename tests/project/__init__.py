"""What a project's files say."""
