"""Speed against peers and against the limit: ``python -m benchmarks`` (or ``make benchmark``) measures and reports."""
