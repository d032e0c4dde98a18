"""What user code sees: the `Trial` object, and how one attempt of a trial is run."""
