"""One export date from Drillster to the warehouse: the rules in plain Python, which Dagster and the console follow."""
