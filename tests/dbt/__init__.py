"""The dbt package, and its models in Dagster: tests of the environment that ``make test-deep`` makes for dbt."""
