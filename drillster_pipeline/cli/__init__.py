"""What the commands print. The work itself is done by ``export`` and ``orchestration``."""
