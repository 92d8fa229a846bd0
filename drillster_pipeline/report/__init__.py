"""The report: one page per export date that a manager can read and forward. Reads the warehouse alone."""
