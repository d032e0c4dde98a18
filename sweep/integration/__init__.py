"""Trackers: what a journal says, shown elsewhere too."""
