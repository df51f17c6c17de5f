"""config.json as written: read, checked, explained. Nothing here knows what a property does."""
