"""Topics and schemas as they must be."""
