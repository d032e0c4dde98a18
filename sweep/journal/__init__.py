"""What happened: typed events, Parquet segments, and the fold into the state of a study."""
