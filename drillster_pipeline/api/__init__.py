"""The client of Drillster's API: tokens, one request, the crawl over all endpoints. No Dagster, no pandas, no SQL."""
