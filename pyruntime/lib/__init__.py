"""Small parts that know nothing of containers; imports errors and nothing else of the package."""
