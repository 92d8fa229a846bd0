#!/bin/sh
# Runs once, when the PostgreSQL of compose.yaml is empty: a database and its owner for Dagster, and for the warehouse.
set -eu

make() {
    psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --set name="$1" --set password="$2" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8' TEMPLATE template0;
SQL
}

make dagster "$DAGSTER_DB_PASSWORD"
make warehouse "$WAREHOUSE_DB_PASSWORD"
