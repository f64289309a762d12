"""What is measured. A workload returns its figures for one peer and one round, by name."""
