"""What a trial saved: when, in which files, how it is verified, what is kept."""
