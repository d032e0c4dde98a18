"""The command line: thin. Parse, call, print as text or JSON."""
