"""Reading studies: tables for pandas. Needs no driver, and takes no lock."""
