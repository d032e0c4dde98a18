"""The loop that runs studies: a pure planner, and backends that execute trials."""
