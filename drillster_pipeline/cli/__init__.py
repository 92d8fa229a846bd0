"""What the commands print. The work itself is done by ``pipeline`` and ``orchestration``."""
