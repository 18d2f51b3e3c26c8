"""The report: what was run, what the numbers show and what they do not, on one page."""
