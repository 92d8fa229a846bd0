"""Dagster around the pipeline: partitions, assets, checks, jobs, schedules, sensors. No logic of its own."""
