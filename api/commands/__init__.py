"""A command in; its committed outcome out."""
