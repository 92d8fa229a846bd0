"""What each SQL dialect does its own way."""
