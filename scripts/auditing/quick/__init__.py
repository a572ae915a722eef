"""Quick ways for usual records: each answers as the plain way does, or not at all."""
