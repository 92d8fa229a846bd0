"""How to talk to Drillster: tokens, one request, the walk over all endpoints. No Dagster, no pandas, no SQL."""
