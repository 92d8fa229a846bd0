"""From archived pages of responses to typed batches of rows."""
