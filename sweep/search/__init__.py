"""What to try next: Optuna behind one small adapter that keeps nothing which is not journaled."""
