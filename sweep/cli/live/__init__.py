"""The live view of studies: what `sweep run` shows of its own and `sweep top` of others'."""
