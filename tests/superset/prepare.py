"""Run in Superset's own environment: its database, made once, with an administrator and a team lead.

    python prepare.py FOLDER

Both have their name as password. ``configuration`` is for those who start it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

DATABASE, CONFIGURATION = "superset.db", "superset_config.py"


def configuration(folder: Path) -> str:
    """What every Superset here is configured by; it listens on this machine alone."""
    return (
        f'SECRET_KEY = "of-a-superset-that-listens-on-this-machine-alone"\n'
        f'SQLALCHEMY_DATABASE_URI = "sqlite:///{folder / DATABASE}"\n'
        "WTF_CSRF_ENABLED = False\n"
        "TALISMAN_ENABLED = False\n"
    )


def prepare(folder: Path) -> None:
    """Make the database."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DATABASE).unlink(missing_ok=True)
    (folder / CONFIGURATION).write_text(configuration(folder))
    os.environ |= {"SUPERSET_CONFIG_PATH": str(folder / CONFIGURATION), "SUPERSET_HOME": str(folder)}
    import superset  # type: ignore[import-not-found]  # in another environment
    from flask_migrate import upgrade  # type: ignore[import-not-found]  # the same
    from superset.app import create_app  # type: ignore[import-not-found]  # the same

    with create_app().app_context():
        upgrade(directory=str(Path(superset.__file__).parent / "migrations"))
        superset.appbuilder.add_permissions(update_perms=True)
        security = superset.security_manager
        security.sync_role_definitions()
        for name, role in (("admin", "Admin"), ("lead", "Alpha")):
            address = f"{name}@example.org"
            assert security.add_user(name, name.capitalize(), "Example", address, security.find_role(role), name)


if __name__ == "__main__":
    prepare(Path(sys.argv[1]).absolute())
