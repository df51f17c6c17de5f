"""Real engines, driven as a user does, with the runtime under test beneath them: `make engines`."""
