"""A store in a browser: Optuna's dashboard over a read-only copy, and the report of each study."""
