"""A submission made without learning."""
