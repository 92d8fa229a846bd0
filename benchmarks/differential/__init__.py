"""Compares two checkouts of the program by random scenarios (see README.md here)."""
