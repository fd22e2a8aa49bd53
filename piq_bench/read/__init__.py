"""Files to records: data sets and submissions."""
