"""A container as a list of steps: their order (moments), their form (step) and their encoding (tape)."""
