"""What ``build --metadata-file`` records of a build, and what is built of it again."""
