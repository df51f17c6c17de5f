"""What an ordinary user in a session of their own can do: run in the guest, as that user."""
