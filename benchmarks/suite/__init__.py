"""What the programs here share: workloads, peers, turns, verdicts, tables and pictures."""
